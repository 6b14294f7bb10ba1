"""Parts of the chat: how messages are put together from lines, and how answers are shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from parlant_local.cli.chat_lines import ChatHistory, MessageLines, typed_message
from parlant_local.cli.chat_markdown import MarkdownOutput, _markdown, blocks_of
from parlant_local.cli.chat_output import WrappedOutput
from tests.support.screen import shown_on

MARKDOWN = """\
# Heading

A paragraph with **bold**, `code` and a [link](http://example.org/x).

- one
- two
  - inner

| a | b |
|---|--:|
| 1 | 2 |

```python
print("hello")

print("again")
```

Last words.
"""


@pytest.mark.parametrize(
    ("lines", "multiline", "messages"),
    [
        (["one", "two"], False, ["one", "two"]),
        (["one\\", "two"], False, ["one\ntwo"]),
        (['"""', "one", "", 'two"""', "three"], False, ["one\n\ntwo", "three"]),
        (['"""one', '"""'], False, ["one"]),
        (["one", "two", "", "/help", "three", ""], True, ["one\ntwo", "/help", "three"]),
        (["one", "two"], True, ["one\ntwo"]),
    ],
)
def test_lines_make_messages(lines: list[str], multiline: bool, messages: list[str]) -> None:
    collected = MessageLines(multiline=multiline)
    made = [message for line in lines if (message := collected.add(line)) is not None]
    assert [*made, *([rest] if (rest := collected.rest()) is not None else [])] == messages


@pytest.mark.parametrize(
    ("text", "multiline", "message"),
    [
        ("one", False, "one"),
        ("one\ntwo \\\nthree", False, "one\ntwo \\\nthree"),
        ("one\\", False, None),
        ('"""', False, None),
        ('"""\none\ntwo', False, None),
        ('"""\none\n"""', False, "one"),
        ('"""quoted""" text', False, '"""quoted""" text'),
        ("one", True, None),
        ("one\n", True, "one"),
        ("/help", True, "/help"),
    ],
)
def test_typed_text_is_a_message_or_goes_on(text: str, multiline: bool, message: str | None) -> None:
    assert typed_message(text, multiline=multiline) == message


def test_history_keeps_whole_messages_within_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history"
    path.write_text('of an earlier version\n"two\\nlines"\n', "utf-8")
    assert list(ChatHistory(path, 10).load_history_strings()) == ["two\nlines", "of an earlier version"]
    history = ChatHistory(path, 3)
    for number in range(8):
        history.store_string(f"message {number}")
    assert list(ChatHistory(path, 3).load_history_strings()) == ["message 7", "message 6", "message 5"]
    assert len(path.read_text("utf-8").splitlines()) == 3
    folder = tmp_path / "folder"
    folder.mkdir()
    assert list(ChatHistory(folder, 3).load_history_strings()) == []
    assert "can't be recalled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three four", 9, ["one two ", "three ", "four"]),
        ("a" * 25, 10, ["a" * 25]),  # the terminal breaks it
        ("北京是中国的首都。上海很大。", 10, ["北京是中国", "的首都。上", "海很大。"]),
        ("family 👨‍👩‍👧‍👦 here", 9, ["family 👨‍👩‍👧‍👦", "here"]),
        ("one\ntwo", 9, ["one", "two"]),
    ],
)
def test_lines_break_between_words(text: str, width: int, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output = WrappedOutput(width)
    for each in text:
        output.content(each)
    output.end()
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [line.rstrip() for line in lines]


@example(text="a。。，， a", width=8)
@given(text=st.text(alphabet="ab ，。首都👍🏽é\u0301\n", max_size=80), width=st.integers(8, 20))
def test_nothing_is_lost_and_nothing_too_wide(text: str, width: int) -> None:
    written: list[str] = []
    output = WrappedOutput(width)
    output._print = written.append  # type: ignore[method-assign]
    for at in range(0, len(text), 3):
        output.content(text[at : at + 3])
    output._put_word()
    shown = "".join(written)
    assert "".join(shown.split()) == "".join(text.split())
    for line in shown.split("\n"):
        # A word that is wider than a line is broken by the terminal, and the text goes on where it ended.
        assert cell_len(line) <= width or any(cell_len(word) > width for word in line.split())


def test_thoughts_stand_apart_from_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    output = WrappedOutput(40)
    output.reasoning("Let me think.")
    output.content("Paris.")
    output.end()
    assert capsys.readouterr().out == "Let me think.\n\nParis.\n"


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_markdown_is_the_same_however_it_arrives(step: int) -> None:
    """What is on the screen at the end is what one rendering of the whole gives."""
    file = io.StringIO()
    output = MarkdownOutput(Console(file=file, force_terminal=True, width=60, height=12, highlight=False))
    output.refresh_seconds = 0.0
    for at in range(0, len(MARKDOWN), step):
        output.content(MARKDOWN[at : at + step])
    output.end()
    text = shown_on(file.getvalue(), columns=60, rows=12)
    assert [line for line in text.splitlines() if line.strip()] == [
        line for line in rendered(MARKDOWN).splitlines() if line.strip()
    ]
    assert "http://example.org/x" in text
    assert "**" not in text


def rendered(text: str) -> str:
    file = io.StringIO()
    Console(file=file, force_terminal=True, width=60, height=100, highlight=False).print(_markdown(text))
    return shown_on(file.getvalue(), columns=60, rows=12)


def test_a_block_taller_than_the_screen_is_whole_in_the_end() -> None:
    code = "```\n" + "".join(f"line {number}\n" for number in range(40)) + "```\n"
    file = io.StringIO()
    output = MarkdownOutput(Console(file=file, force_terminal=True, width=60, height=10, highlight=False))
    output.refresh_seconds = 0.0
    for line in code.splitlines(keepends=True):
        output.content(line)
    output.end()
    text = shown_on(file.getvalue(), columns=60, rows=10)
    assert [line.strip() for line in text.splitlines() if line.strip()] == [f"line {number}" for number in range(40)]


@given(st.text(alphabet="#-*`|>_[]()! \n1.ab\u2028\u00a0", max_size=60))
def test_blocks_are_the_whole_text(text: str) -> None:
    blocks = blocks_of(text)
    assert "".join(blocks) == text
    assert all(block.endswith("\n") for block in blocks[:-1])


def test_a_block_is_one_whatever_it_holds() -> None:
    assert blocks_of("# One\nTwo\n\n- a\n\n- b\n\n```\n\n# no heading\n```\nEnd") == [
        "# One\n",
        "Two\n\n",
        "- a\n\n- b\n\n",
        "```\n\n# no heading\n```\n",
        "End",
    ]


def test_control_codes_of_a_model_do_not_reach_the_terminal() -> None:
    file = io.StringIO()
    output = MarkdownOutput(Console(file=file, force_terminal=True, width=60, height=10, highlight=False))
    output.content("a\x1b]0;title\x07b \x1b[2Jc [link](javascript:alert(1))")
    output.end()
    assert "\x1b]" not in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()
    assert "javascript:alert(1)" in file.getvalue()
