"""Chat templates by name, for models that bring none."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIRST_SYSTEM", "NamedTemplate"]


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    name: str
    """For ``chat_format``."""
    source: str
    """Jinja."""
    ends: tuple[str, ...]
    """What it writes after an answer or before the next message: an answer ends at one of these."""
    tokens: tuple[str, ...] = ()
    """Tokens that together occur only in vocabularies of models trained with it."""
    called: tuple[str, ...] = ()
    """Parts of such models' names, for vocabularies without chat tokens."""
    architectures: tuple[str, ...] = ()
    """Values of ``general.architecture``, where nothing else identifies it."""
    aliases: tuple[str, ...] = ()


FIRST_SYSTEM = (
    "{%- if messages and messages[0].role == 'system' -%}"
    "{%- set system = messages[0].content -%}{%- set rest = messages[1:] -%}"
    "{%- else -%}{%- set system = '' -%}{%- set rest = messages -%}{%- endif -%}"
)
"""Splits the messages into ``system`` (a text) and ``rest``."""
