"""What docs/server.md shows of clients is run as it stands, but for the port."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import clean_environment
from tests.clients.environment import BIN
from tests.examples.documents import ROOT, blocks, commands
from tests.server.conftest import TINY, Server

pytestmark = pytest.mark.evidence

PAGE = ROOT / "docs" / "server.md"
SCRIPTS = [block.text for block in blocks(PAGE) if block.language == "python"]
OURS = [block for block in blocks(PAGE) if block.way.what == "tests/clients/test_docs.py"]
"""Those that need packages which the project does not depend on."""


def at(server: Server, text: str) -> str:
    """As the page has it, but for the port."""
    return text.replace(":8080", ":" + server.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("keyless"), "--model", TINY)
    yield found
    assert found.stop() == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda text: text.split()[1])
def test_a_script_works(environment: None, keyless: Server, script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "python", "-c", at(keyless, script)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout


def test_the_llm_commands_work(environment: None, keyless: Server, tmp_path: Path) -> None:
    sessions = [commands(block) for block in OURS if block.language == "console"]
    assert len(sessions) == 2
    (models,) = [block.text for block in OURS if block.language == "yaml"]
    (tmp_path / "extra-openai-models.yaml").write_text(at(keyless, models))
    path = f"{BIN}:{clean_environment()['PATH']}"
    variables = clean_environment() | {"LLM_USER_PATH": str(tmp_path), "PATH": path}
    for command in [command for session in sessions for command, _ in session]:
        done = subprocess.run(
            ["bash", "-c", at(keyless, command)], env=variables, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (command, done.stderr)
        if "--schema" in command:
            assert set(json.loads(done.stdout)) == {"city", "is_capital"}
        else:
            assert done.stdout.strip(), command


def test_the_page_names_the_version_whose_gap_it_tells_of(environment: None) -> None:
    """litellm uses mcp without requiring it: when that is mended, page and requirements may forget it."""
    asked = "import importlib.metadata as m; v = m.version('litellm'); print(v); print(*(m.requires('litellm') or ()), sep='\\n')"
    version, *requires = subprocess.run(
        [BIN / "python", "-c", asked], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    page = PAGE.read_text("utf-8")
    assert f"litellm\n{'.'.join(version.split('.')[:2])} uses without requiring it" in page
    assert not [need for need in requires if need.startswith("mcp") and "extra" not in need]
