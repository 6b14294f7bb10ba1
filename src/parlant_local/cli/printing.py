"""Terminal output. Names and texts are untrusted: their control codes must not reach a terminal."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from parlant_local.observability import printable, printable_json

__all__ = ["counted", "echo_dim", "emit_json", "say", "show_text", "without_codes"]

# Control codes of ASCII and Latin-1; a text keeps its lines and tabs.
_CODES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def say(line: str, *, err: bool = False) -> None:
    """Prints one line, with control codes escaped."""
    click.echo(printable(line), err=err)


def emit_json(value: Any) -> None:
    click.echo(printable_json(value))


def without_codes(text: str) -> str:
    """``text`` with control codes escaped; lines and tabs stay."""
    return text.translate(_CODES)


def show_text(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Prints a model's text; files and pipes get it unchanged."""
    stream = sys.stderr if err else sys.stdout
    click.echo(without_codes(text) if stream.isatty() else text, nl=nl, err=err)


def echo_dim(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Prints secondary text, dimmed in a terminal with colours."""
    text = without_codes(text)
    click.echo(text if os.environ.get("NO_COLOR") else click.style(text, dim=True), nl=nl, err=err)


def counted(number: int, noun: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
