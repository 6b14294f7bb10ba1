"""Which servers run on this machine: each leaves a record in the home while it listens, for ``ps`` and ``stop``.

A record is written whole and removed at the end. A killed server's stays behind: it names a process that is gone, or that
started at another time, and is removed by the next reader.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import psutil
from pydantic import AfterValidator, Field, TypeAdapter

from parlant_local._version import __version__
from parlant_local.errors import StateFileError
from parlant_local.loopback import is_loopback
from parlant_local.observability import Logger
from parlant_local.storage import read_as, write_whole

__all__ = ["RunningServer", "announced", "running_servers"]

_MAX_BYTES = 64 << 10
_CLOCK_SECONDS = 5.0  # a process's start is worked out from the clock, which may have been set since


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname or parts.username or parts.path or parts.query or not parts.port:
        raise ValueError("it is not the address of a server")
    return text


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server process of this user."""

    pid: Annotated[int, Field(ge=1, le=2**31)]
    process_started: float
    """As the system tells it: another process may have the number by now."""
    address: Annotated[str, Field(max_length=300), AfterValidator(_web_address)]
    """Where this machine reaches it."""
    started: float
    version: Annotated[str, Field(max_length=100)]

    @property
    def local(self) -> bool:
        """Whether its address is loopback. It is not where the server was told to listen on one address of a network."""
        return is_loopback(urlsplit(self.address).hostname or "")

    def process(self) -> psutil.Process | None:
        """Its process, None where that has ended."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if (
                abs(process.create_time() - self.process_started) < _CLOCK_SECONDS
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                return process
        return None


@contextlib.contextmanager
def announced(home: Path, host: str, port: int, logger: Logger) -> Iterator[None]:
    """Keeps the record of this process's server, which listens on ``host`` and ``port``."""
    pid = os.getpid()
    record = RunningServer(pid, psutil.Process().create_time(), _address(host, port), time.time(), __version__)
    path = _folder(home) / f"{pid}-{port}.json"
    try:
        write_whole(path, json.dumps(asdict(record)), private=True)
    except StateFileError as error:
        logger.warning(f"`parlant-local ps` won't know this server: {error}")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it may be gone with its folder; a later reader removes what stays
            path.unlink(missing_ok=True)


def running_servers(home: Path, logger: Logger) -> list[RunningServer]:
    """The servers of this home that run now, the oldest first."""
    found = []
    for path in sorted(_folder(home).glob("*.json")):
        try:
            record = read_as(TypeAdapter(RunningServer), path, _MAX_BYTES)
        except FileNotFoundError:  # it has just stopped
            continue
        except StateFileError as error:
            logger.warning(f"A server's record can't be used: {error}")
            continue
        if record.process() is None:
            with contextlib.suppress(OSError):  # it is not listed either way
                path.unlink(missing_ok=True)
        else:
            found.append(record)
    return sorted(found, key=lambda record: record.started)


def _folder(home: Path) -> Path:
    return home / "servers"


def _address(host: str, port: int) -> str:
    """Where this machine reaches a server on ``host``, which may stand for all its addresses."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host.partition("%")[0])
        if address.is_unspecified:
            host = "::1" if address.version == 6 else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
