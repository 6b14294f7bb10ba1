"""Every example of docs/chat.md is run, and says what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import REPOSITORY

PAGE = REPOSITORY / "docs" / "chat.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
SCRIPTS = [text for kind, text in BLOCKS if kind == "python"]
SESSIONS = [text for kind, text in BLOCKS if kind == "console"]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """A small context, so that each command starts quickly; everything else as a reader has it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PARLANT_LOCAL_HOME": str(home), "PARLANT_LOCAL_ENGINE__N_CTX": "2048"}


def test_the_page_has_examples_of_both_kinds() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "console"}
    assert len(SCRIPTS) >= 5
    assert len(SESSIONS) >= 5


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_a_script_of_the_page_runs(script: str, environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


def commands(session: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines it is shown to print."""
    found: list[tuple[str, list[str]]] = []
    for line in session.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


@pytest.mark.parametrize("session", SESSIONS, ids=range(len(SESSIONS)))
def test_the_commands_of_the_page_print_what_it_shows(
    session: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """A line with an ellipsis stands for anything, but for something."""
    for command, shown in commands(session):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (command, done.stderr)
        printed = done.stdout.rstrip("\n")
        pattern = ".+".join(map(re.escape, "\n".join(shown).split("…")))
        assert re.match(pattern, printed, re.DOTALL), (command, printed)
