"""docs/server.md: its commands and scripts are run against a real server, its paths and links exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from parlant_local.settings import load_settings

from .conftest import Server
from .test_doors import routes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "server.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SCRIPTS = [text for kind, text in BLOCKS if kind == "python"]


def commands(session: str) -> list[str]:
    """Each command of a session, with the lines that it goes on in."""
    return re.findall(r"^\$ ((?:.*\\\n)*.*)$", session, re.MULTILINE)


SESSIONS = [found for kind, text in BLOCKS if kind == "console" and (found := commands(text))]
"""Those of the llm command belong to tests/clients."""
OURS = [found for found in SESSIONS if not found[0].startswith("llm ")]


def at(server: Server, text: str) -> str:
    """As the page has it, but for the port."""
    return text.replace(":8080", ":" + server.url.rpartition(":")[2])


def environment_of(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PARLANT_LOCAL_", "OPENAI_"))}
    return {
        **clean,
        "PATH": path,
        "PARLANT_LOCAL_HOME": str(folder),
        "PARLANT_LOCAL_LOG_LEVEL": "debug",
        "KEY": "any",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def test_the_page_has_what_a_reader_needs() -> None:
    told = " ".join(command for session in SESSIONS for command in session)
    for word in ("parlant-local serve", "curl", "/api/chat", "--api-key-file", "llm -m"):
        assert word in told
    assert len(SCRIPTS) == 3
    for client in ("openai", "litellm", "LangChain", "llm", "curl", "LibreChat"):
        assert client in PAGE


@pytest.mark.parametrize("session", OURS, ids=range(len(OURS)))
def test_the_commands_work(session: list[str], server: Server, tmp_path: Path) -> None:
    for command in session:
        if command.startswith("parlant-local serve"):
            starts(command, tmp_path)
            continue
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", at(server, command)],
            cwd=tmp_path, env=environment_of(tmp_path), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        if command.startswith("curl"):
            assert '"error"' not in done.stdout, (command, done.stdout)
            assert "local/llama/parlant-local-tiny" in done.stdout or "Paris" in done.stdout, (command, done.stdout)


def starts(command: str, folder: Path) -> None:
    """Until it serves; then it is asked to end."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command} --port 0"],
        cwd=folder, env=environment_of(folder), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if "Application startup complete" in line:  # from here on signals are its own
            process.terminate()
    assert process.wait(30) == 0, "".join(lines)
    assert "Serving at" in "".join(lines)
    process.stderr.close()


@pytest.mark.parametrize("script", [text for text in SCRIPTS if "import openai" in text])
def test_the_script_works(script: str, server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", at(server, script)],
        cwd=tmp_path, env=environment_of(tmp_path), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout


def test_the_settings_shown_are_settings(tmp_path: Path) -> None:
    shown = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml"]
    ours: list[Any] = [data for data in shown if isinstance(data, dict)]
    assert ours
    for data in ours:
        (tmp_path / "shown.yml").write_text(yaml.safe_dump(data))
        assert load_settings(tmp_path / "shown.yml").models


def test_every_path_is_told_and_exists() -> None:
    told = {
        (method, path)
        for method, path in re.findall(r"`(GET|POST|DELETE) (/[^`?]*)\??[^`]*`", PAGE.replace("{id}", "{model:path}"))
    }
    there = {(method, path.replace("local/llama/parlant-local-tiny", "{model:path}")) for method, path in routes()}
    assert told <= there, told - there
    silent = ("/page/", "/vendor/", "/favicon.ico", "/docs", "/redoc", "/openapi.json", "/rerank")
    untold = {(method, path) for method, path in there - told if path != "/" and not path.startswith(silent)}
    assert untold == set()


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        if not link.startswith("http"):
            assert (ROOT / "docs" / link).exists(), link
