"""Every block of code in every document is run, as a reader would paste it, or says why not."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click
import httpx2
import pytest

from parlant_local.cli.main import cli
from parlant_local.settings import load_settings
from tests.examples.documents import DOCUMENTS, ROOT, Block, BlockError, blocks, commands, inline_commands
from tests.examples.reader import Reader

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]


def of(kind: str) -> list[Block]:
    return [block for block in BLOCKS if _kind(block) == kind]


def _kind(block: Block) -> str:
    try:
        return block.way.kind
    except BlockError:
        return "unknown"  # the first test says so


def test_every_block_is_run_or_says_why_not() -> None:
    assert {str(block): block.way.kind for block in BLOCKS}  # raises where nothing is known
    assert len(of("nothing")) <= 5, "too many blocks that nobody runs"


@pytest.mark.parametrize("block", of("script"), ids=str)
def test_a_script_runs(block: Block, reader_of: Callable[[Path], Reader]) -> None:
    printed = reader_of(block.document).run_script(block.text)
    for shown in of("output"):
        if shown.after == block:
            assert matches(shown.text, printed), printed


@pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are a POSIX shell's")
@pytest.mark.parametrize("block", of("session"), ids=str)
def test_commands_print_what_is_shown(block: Block, reader_of: Callable[[Path], Reader]) -> None:
    found = commands(block)
    assert found
    for command, shown in found:
        printed = reader_of(block.document).run_command(command)
        assert matches("\n".join(shown), printed), (command, printed)
        if command.startswith("curl"):
            assert printed, command
            assert '"error"' not in printed, (command, printed)


@pytest.mark.evidence
def test_the_first_command_of_the_readme_runs(tmp_path: Path) -> None:
    """As it is, but for the environment, which is there."""
    done = subprocess.run(
        ["make", "-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}", "demo"],
        cwd=ROOT, env=Reader(tmp_path, {}, lambda: "").environment | {"PARLANT_LOCAL_ENGINE__N_CTX": "16384"},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout


@pytest.mark.parametrize("block", of("settings"), ids=str)
def test_settings_are_settings(block: Block, tmp_path: Path) -> None:
    file = tmp_path / f"settings.{block.language}"
    file.write_text(block.text, "utf-8")
    assert load_settings(file) != load_settings(), "it changes nothing"


def test_bodies_are_accepted(server: Callable[[], str]) -> None:
    for block in of("body"):
        method, path = block.way.what.split()
        answer = httpx2.request(method, server() + path, json=json.loads(block.text), timeout=120)
        assert answer.status_code < 300, (str(block), answer.text)


@pytest.mark.parametrize("block", of("file"), ids=str)
def test_a_file_is_one(block: Block) -> None:
    if block.language == "python":
        compile(block.text, block.title, "exec")
    assert block.title.endswith({"python": ".py", "yaml": ".yaml", "toml": ".toml"}[block.language])


@pytest.mark.parametrize("block", of("elsewhere"), ids=str)
def test_what_another_test_runs_is_named_there(block: Block) -> None:
    test = ROOT / block.way.what
    assert test.is_file()
    sources = [test.read_text("utf-8"), *(path.read_text("utf-8") for path in test.parent.glob("conftest.py"))]
    assert any(block.document.name in source for source in sources)


def test_each_document_is_read() -> None:
    read = Counter(block.document.name for block in BLOCKS)
    assert {"README.md", "chat.md", "parlant.md", "models.md", "switching.md", "server.md", "extending.md"} <= set(read)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_that_the_text_mentions_exists(document: Path) -> None:
    for mentioned in inline_commands(document):
        check(mentioned)


def check(mentioned: str) -> None:
    """Its verb and its options are there; what stands for a user's word (``M``, ``MODEL``, ``…``) may be anything."""
    try:
        words = shlex.split(mentioned)[1:]
    except ValueError:
        pytest.fail(f"{mentioned}: not a command")
    context = click.Context(cli, info_name="parlant-local")
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, f"{mentioned}: no such command"
        command, context = found, click.Context(found, parent=context)
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {
        "--help",
        "--version",
    }
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{mentioned}: no such option {word}"


def matches(shown: str, printed: str) -> bool:
    """An ellipsis stands for anything, but for something; where nothing is shown, nothing is promised."""
    pattern = ".+".join(map(re.escape, shown.rstrip("\n").split("…")))
    return not shown or re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL) is not None
