"""An answer rendered as Markdown while it streams."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from parlant_local.cli.chat_output import WrappedOutput
from parlant_local.cli.printing import without_codes

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.markdown import Markdown
    from rich.segment import Segment

__all__ = ["MarkdownOutput", "blocks_of"]


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
        for block in blocks_of(self._tail):
            if block.strip():
                self._print(block)
        self._tail = ""

    def _draw(self) -> None:
        from rich.live import Live

        *done, self._tail = blocks_of(self._tail)
        if done and self._live is not None:
            self._live.update("")
        for block in done:
            self._print(block)
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


def blocks_of(text: str) -> list[str]:
    """The blocks of a Markdown text, of which only the last one can still change; together they are the text."""
    from markdown_it import MarkdownIt

    starts = [token.map[0] for token in MarkdownIt().enable("table").parse(text) if token.level == 0 and token.map]
    lines = text.split("\n")
    cuts = [0, *sorted({start for start in starts if start}), len(lines)]
    return ["\n".join(lines[begin:end]) + ("\n" if end < len(lines) else "") for begin, end in pairwise(cuts)]
