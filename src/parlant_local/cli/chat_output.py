"""How an answer is shown while it streams: as it is, or wrapped at words."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from typing import Protocol

import click

from parlant_local.cli.printing import echo_dim, show_text, without_codes

__all__ = ["AnswerOutput", "PlainOutput", "WrappedOutput"]

_CLOSING = frozenset("、。，．・：；？！）］｝」』】〉》”’…ー")
_JOINER = "\u200d"


class AnswerOutput(Protocol):
    def reasoning(self, text: str) -> None: ...

    def content(self, text: str) -> None: ...

    def end(self) -> None:
        """Shows what is still held back, and ends the line. Also where the answer was cut."""
        ...


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
