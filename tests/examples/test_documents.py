"""How blocks are read, and that a new one which nobody knows to run is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.documents import BlockError, Way, blocks, commands, inline_commands
from tests.examples.test_every_block import check, matches


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "```\nparlant-local list\n```\n",
        "```json\n{}\n```\n",
        "```ruby\nputs 1\n```\n",
        "```text\nParis\n```\n",
        "```sh\nls\n```\n\nWords.\n\n```text\na\n```\n",
        "<!-- not run: laziness: it is hard -->\n```python\n1\n```\n",
        "<!-- not run: network -->\n```python\n1\n```\n",
        "<!-- run by -->\n```python\n1\n```\n",
    ],
)
def test_a_block_that_nobody_knows_to_run_is_a_failure(text: str, tmp_path: Path) -> None:
    with pytest.raises(BlockError, match=r"page\.md:"):
        assert [block.way for block in blocks(page(tmp_path, text))]


def test_a_block_that_is_never_closed_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(BlockError, match="never closed"):
        list(blocks(page(tmp_path, "```sh\nls\n")))


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("```python\n1\n```\n", Way("script")),
        ("~~~console\n$ ls\n~~~\n", Way("session")),
        ("   ```sh\n   ls\n   ```\n", Way("session")),
        ('```python title="a.py"\n1\n```\n', Way("file", "a.py")),
        ("<!-- measured: figures -->\n```toml\na = 1\n```\n", Way("settings")),
        ("<!-- body of POST /v1/embeddings -->\n```json\n{}\n```\n", Way("body", "POST /v1/embeddings")),
        ("<!-- run by tests/a.py -->\n```json\n{}\n```\n", Way("elsewhere", "tests/a.py")),
        ("<!-- not run: gpu: there is none -->\n```sh\nx\n```\n", Way("nothing", "gpu")),
    ],
)
def test_what_is_done_with_a_block(text: str, way: Way, tmp_path: Path) -> None:
    (block,) = blocks(page(tmp_path, text))
    assert block.way == way
    assert not block.text.startswith(" ")


def test_output_belongs_to_the_script_before_it(tmp_path: Path) -> None:
    script, output = blocks(page(tmp_path, "```python\nprint(1)\n```\n\n```text\n1\n```\n"))
    assert output.after == script
    assert output.way == Way("output")


def test_commands_have_the_lines_that_they_are_shown_to_print(tmp_path: Path) -> None:
    session, script = blocks(
        page(tmp_path, "```console\n$ a \\\n    -b\none\n\ntwo\n$ c\n```\n```sh\n# why\na   # what\n\nb\n```\n")
    )
    assert commands(session) == [("a \\\n    -b", ["one", "", "two"]), ("c", [])]
    assert commands(script) == [("a   # what", []), ("b", [])]


def test_commands_in_the_text_are_seen_and_checked(tmp_path: Path) -> None:
    found = inline_commands(
        page(tmp_path, "Try `parlant-local list\n--all`, `parlant-local.md`\n```sh\n`parlant-local x`\n```\n")
    )
    assert found == ["parlant-local list --all"]
    check(found[0])
    for wrong in ("parlant-local lists", "parlant-local list --everything"):
        with pytest.raises(AssertionError, match="no such"):
            check(wrong)


def test_an_ellipsis_stands_for_something() -> None:
    assert matches("a … c", "a b c\n")
    assert matches("", "whatever")
    assert not matches("a … c", "a  c")
    assert not matches("a", "a b")
