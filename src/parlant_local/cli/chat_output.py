"""How an answer is shown while it streams: as it is, wrapped at words, or as Markdown."""

from __future__ import annotations

import shutil
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Protocol

import click

from parlant_local.cli.printing import echo_dim, show_text, without_codes

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.markdown import Markdown
    from rich.segment import Segment

__all__ = ["AnswerOutput", "MarkdownOutput", "PlainOutput", "WrappedOutput", "answer_output"]

_CLOSING = frozenset("、。，．・：；？！）］｝」』】〉》”’…ー")
_JOINER = "\u200d"


class AnswerOutput(Protocol):
    def reasoning(self, text: str) -> None: ...

    def content(self, text: str) -> None: ...

    def end(self) -> None:
        """Shows what is still held back, and ends the line. Also where the answer was cut."""
        ...


def answer_output(*, markdown: bool) -> AnswerOutput:
    """The output for standard output: Markdown only in a terminal with styles."""
    if not sys.stdout.isatty():
        return PlainOutput()
    from rich.console import Console

    console = Console(highlight=False)
    return (
        MarkdownOutput(console)
        if markdown and not console.no_color and not console.is_dumb_terminal
        else WrappedOutput()
    )


class PlainOutput:
    """For files and pipes: every character as it comes."""

    def __init__(self) -> None:
        self._begun: str | None = None

    def reasoning(self, text: str) -> None:
        self._begun = "reasoning"
        echo_dim(text, nl=False)
        sys.stdout.flush()

    def content(self, text: str) -> None:
        if self._begun == "reasoning":
            click.echo("\n")
        self._begun = "content"
        show_text(text, nl=False)
        sys.stdout.flush()

    def end(self) -> None:
        if self._begun is not None:
            click.echo()


class WrappedOutput:
    """For a terminal without styles: lines break between words, at the terminal's width."""

    def __init__(self, width: int | None = None) -> None:
        self._width = width
        self._column = 0
        self._word = ""
        self._thinking = False
        self._begun = False

    def reasoning(self, text: str) -> None:
        self._thinking = True
        self._write(text)

    def content(self, text: str) -> None:
        if self._thinking:
            self._put_word()
            self._thinking = False
            click.echo("\n")
            self._column = 0
        self._write(text)

    def end(self) -> None:
        self._put_word()
        if self._begun:
            click.echo()

    def _write(self, text: str) -> None:
        self._begun = True
        for each in without_codes(text).expandtabs(4):
            if each == "\n":
                self._put_word()
                self._print("\n")
                self._column = 0
            elif each == " ":
                self._put_word()
                if self._column < self._columns:
                    self._print(" ")
                    self._column += 1
            else:
                if self._word and _may_break(self._word[-1], each):
                    self._put_word()
                self._word += each
        sys.stdout.flush()

    def _put_word(self) -> None:
        from rich.cells import cell_len

        if not self._word:
            return
        size = cell_len(self._word)
        if self._column and self._column + size > self._columns:
            self._print("\n")
            self._column = 0
        self._print(self._word)
        self._column = (self._column + size) % self._columns if size > self._columns else self._column + size
        self._word = ""

    @property
    def _columns(self) -> int:
        return self._width or shutil.get_terminal_size().columns

    def _print(self, text: str) -> None:
        if self._thinking:
            echo_dim(text, nl=False)
        else:
            click.echo(text, nl=False)


def _may_break(before: str, after: str) -> bool:
    """Whether a line may break between two characters of a text without spaces: beside ideographs, but not before closing
    marks, nor inside an emoji of several characters."""
    if _JOINER in (before, after) or unicodedata.combining(after) or unicodedata.category(after) in ("Mn", "Me", "Sk"):
        return False
    return after not in _CLOSING and (_is_wide(before) or _is_wide(after))


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) == "W" and unicodedata.category(character) in ("Lo", "Lm", "Po")


class MarkdownOutput:
    """For a terminal: Markdown, rendered while it grows. Blocks that can't change any more are printed for good; only the
    last one is drawn again, a few times a second and by what fits the screen."""

    refresh_seconds = 1 / 15

    def __init__(self, console: Console) -> None:
        self._console = console
        self._thoughts = WrappedOutput()
        self._thinking = False
        self._tail = ""
        self._printed = False
        self._live: Live | None = None
        self._next = 0.0

    def reasoning(self, text: str) -> None:
        self._thinking = True
        self._thoughts.reasoning(text)

    def content(self, text: str) -> None:
        if self._thinking:
            self._thoughts.end()
            self._thinking = False
            click.echo()
        self._tail += without_codes(text)
        now = time.monotonic()
        if now >= self._next:
            self._draw()
            self._next = now + max(self.refresh_seconds, 4 * (time.monotonic() - now))

    def end(self) -> None:
        if self._thinking:
            self._thoughts.end()
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._tail.strip():
            self._print(self._tail)
        self._tail = ""

    def _draw(self) -> None:
        from rich.live import Live

        if cut := _finished(self._tail):
            done, self._tail = self._tail[:cut], self._tail[cut:]
            if self._live is not None:
                self._live.update("")
            self._print(done)
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
        self._live.update(_Block(self._tail, gap=self._printed, growing=True), refresh=True)

    def _print(self, text: str) -> None:
        self._console.print(_Block(text, gap=self._printed), end="")
        self._printed = True


class _Block:
    """Rendered Markdown without the blanks with which rich fills lines. ``growing``: only what fits the screen, and below it a
    line for the cursor, where a terminal puts the ^C that a person types."""

    def __init__(self, text: str, *, gap: bool, growing: bool = False) -> None:
        self._text, self._gap, self._growing = text, gap, growing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        rendered = console.render_lines(_markdown(self._text), options.update(height=None), pad=False)
        lines = _without_margins([_without_filling(line) for line in rendered])
        if self._gap:
            lines = [[], *lines]
        if self._growing:
            lines = [*lines[-max(1, console.height - 2) :], []]
        for line in lines:
            yield from line
            yield Segment.line()


def _without_filling(line: list[Segment]) -> list[Segment]:
    while line and not line[-1].text.strip() and not _is_painted(line[-1]):
        line = line[:-1]
    return line


def _is_painted(segment: Segment) -> bool:
    """Whether a blank is seen: it has a colour of its own behind it."""
    background = segment.style.bgcolor if segment.style else None
    return background is not None and not background.is_default


def _without_margins(lines: list[list[Segment]]) -> list[list[Segment]]:
    """Without empty lines around them: blocks stand one line apart, whatever they are."""
    filled = [number for number, line in enumerate(lines) if line]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _markdown(text: str) -> Markdown:
    from rich.markdown import Markdown

    # Links show where they lead: their text is the model's.
    return Markdown(text, code_theme="ansi_dark", hyperlinks=False)


def _finished(text: str) -> int:
    """Characters of the blocks before the last one, which alone can still change."""
    from markdown_it import MarkdownIt

    starts = [token.map[0] for token in MarkdownIt().enable("table").parse(text) if token.level == 0 and token.map]
    last = max(starts, default=0)
    return sum(len(line) + 1 for line in text.split("\n")[:last])
