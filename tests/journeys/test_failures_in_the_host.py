"""What goes wrong at start, as the host's user sees it: one panel with the reason and the next step, exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import parlant.sdk as p
import pytest
from pydantic import BaseModel

import parlant_local
from tests.support.host_container import container

TINY = Path(__file__).parents[2] / "src" / "parlant_local" / "models" / "parlant-local-tiny.gguf"


class Capital(BaseModel):
    capital: str


def missing(tmp_path: Path) -> dict[str, str]:
    return {"PARLANT_LOCAL_MODEL": str(tmp_path / "none.gguf")}


def not_a_gguf(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "page.gguf"
    path.write_text("<html>not found</html>" * 100)
    return {"PARLANT_LOCAL_MODEL": str(path)}


def truncated(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "half.gguf"
    path.write_bytes(TINY.read_bytes()[: TINY.stat().st_size // 2])
    return {"PARLANT_LOCAL_MODEL": str(path)}


def unknown_architecture(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "new.gguf"
    path.write_bytes(
        TINY.read_bytes().replace(b"llama.", b"lrama.").replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lrama")
    )
    return {"PARLANT_LOCAL_MODEL": str(path)}


def too_little_memory(_: Path) -> dict[str, str]:
    return {"PARLANT_LOCAL_ENGINE__N_CTX": "400000000"}


def bad_setting(_: Path) -> dict[str, str]:
    return {"PARLANT_LOCAL_ENGINE__N_CTX": "many"}


def unknown_id(_: Path) -> dict[str, str]:
    return {"PARLANT_LOCAL_MODEL": "local/llama/parlant-local-tini"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, ["none.gguf"]),
        (not_a_gguf, ["page.gguf", "GGUF"]),
        (truncated, ["half.gguf"]),
        (unknown_architecture, ["new.gguf", "lrama"]),
        (too_little_memory, ["MiB", "engine.n_ctx"]),
        (bad_setting, ["engine.n_ctx", "PARLANT_LOCAL_ENGINE__N_CTX"]),
        (unknown_id, ["parlant-local-tini", "Did you mean local/llama/parlant-local-tiny?"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_bad_input_is_a_configuration_error_with_the_reason_and_the_place(
    make: object, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the host's start-up does with a service: the factory, then the first generator."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name, value in make(tmp_path).items():  # type: ignore[operator]  # one of the functions above
        monkeypatch.setenv(name, value)
    with pytest.raises(p.NLPServiceConfigurationError) as caught:
        await parlant_local.nlp_service(container()).get_schematic_generator(Capital)  # type: ignore[type-var]  # any model does
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


START = """
    import asyncio
    import parlant.sdk as p
    import parlant_local

    async def main():
        async with p.Server(port=1, tool_service_port=2, nlp_service=parlant_local.nlp_service):
            raise AssertionError("it started")

    asyncio.run(main())
"""


def test_the_host_shows_it_as_a_panel_without_a_traceback(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PARLANT_HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "COLUMNS": "200",
        **truncated(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(START)], env=env, capture_output=True, text=True, timeout=120
    )
    shown = " ".join(done.stderr.replace("║", " ").split())
    assert done.returncode == 1, done.stderr
    assert "CONFIGURATION ERROR" in shown
    assert "half.gguf" in shown
    assert "Traceback" not in shown
