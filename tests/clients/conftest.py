"""One server with keys for all clients, and their environment."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environment import BIN, make_environment
from tests.server.conftest import TINY, Server

KEY = "correct-horse-battery-staple"
SCRIPTS = Path(__file__).with_name("scripts")
Told = dict[str, Any]


@pytest.fixture(scope="session")
def environment() -> None:
    make_environment()


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "keys").write_text(f"client:{KEY}\n")
    # llm has fixed names for models that embed; a served name makes one of them ours.
    (folder / "served.yml").write_text(f"models: {{text-embedding-3-small: {{model: {TINY}}}}}\n")
    found = Server(
        folder / "server",
        "--model",
        TINY,
        "--api-key-file",
        str(folder / "keys"),
        "--config",
        str(folder / "served.yml"),
    )
    yield found
    code = found.stop()
    assert code == 0, found.raw[-3000:]
    assert '"level": "error"' not in found.raw, found.raw
    assert KEY not in found.raw


@pytest.fixture(scope="session")
def ask(environment: None, locked: Server) -> Callable[[str], Told]:
    """Runs a script against the server; what it printed last is what it found."""

    def run(name: str) -> Told:
        done = subprocess.run(
            [BIN / "python", SCRIPTS / name, locked.url, KEY, TINY],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        told: Told = json.loads(done.stdout.splitlines()[-1])
        return told

    return run


def clean_environment() -> dict[str, str]:
    """Nothing of the developer's own accounts; and nothing but loopback can be reached by a proxy."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "LLM_", "LANGCHAIN_", "LANGSMITH_"))
    }
    return kept | {"NO_PROXY": "127.0.0.1", "LANGSMITH_TRACING": "false"}
