"""Fixtures: a home of its own for every test, and the shipped model behind the real engine, small and quick."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.cli.main import main
from parlant_local.settings import EngineSettings, Settings
from tests.support.places import TINY

Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test, and none of the developer's settings but the build of llama.cpp, of which a process has one."""
    for name in set(os.environ) - {"PARLANT_LOCAL_ENGINE__LIBRARY"}:
        if name.startswith("PARLANT_LOCAL_") or name in ("CONFIG_PATH", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def documented() -> dict[str, Any]:
    """What the shipped model promises to know and do."""
    return dict(json.loads(TINY.with_suffix(".json").read_text("utf-8")))


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, engine=EngineSettings(n_ctx=1024, n_seq_max=4))


@pytest.fixture
async def tiny(settings: Settings) -> AsyncIterator[LlamaCppBackend]:
    async with LlamaCppBackend(TINY, settings=settings) as backend:
        yield backend


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a verb in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        captured = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, Any], str]:
    def write(name: str, value: Any) -> str:
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
        return str(path)

    return write
