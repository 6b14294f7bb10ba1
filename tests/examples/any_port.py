"""Runs a script with Parlant's servers on free ports: what it prints and does is as in ``python script``, but for them."""

from __future__ import annotations

import runpy
import socket
import sys
from typing import Any

import parlant.sdk


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(parlant.sdk.Server):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"port": free_port(), "tool_service_port": free_port(), **options})


parlant.sdk.Server = Server  # type: ignore[misc]  # the script finds this one
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
