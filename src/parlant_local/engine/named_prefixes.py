"""Prefixes that somebody saves under a name, and brings back: after a restart, or once others have taken their place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from parlant_local.engine.prefix_file import read_prefix, write_prefix
from parlant_local.engine.prefixes import PrefixStore, RetainedPrefix, State, Tokens
from parlant_local.errors import BadRequestError, StateFileError
from parlant_local.messages import shown

__all__ = ["KeptPrefix", "NamedPrefixes", "SavedPrefix", "kept_prefixes", "nth_prefix"]

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}\Z")
_SUFFIX = ".prefix"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptPrefix:
    """A prefix that is kept in memory, without its text."""

    tokens: int
    bytes: int
    static: bool
    """Shared by several sessions."""
    on_disk: bool


@dataclass(frozen=True, slots=True)
class SavedPrefix:
    tokens: int
    bytes: int
    """Of the file."""


def kept_prefixes(store: PrefixStore | None) -> list[RetainedPrefix]:
    """The most recently used first."""
    return sorted(store or (), key=lambda entry: entry.used, reverse=True)


def nth_prefix(store: PrefixStore | None, place: int) -> RetainedPrefix:
    kept = kept_prefixes(store)
    if not 0 <= place < len(kept):
        raise BadRequestError(
            f"There is no prefix {place}: {len(kept) or 'none'} {'is' if len(kept) < 2 else 'are'} kept.",
            hint="Prompts shorter than engine.prefixes.min_tokens are not kept.",
        )
    return kept[place]


class NamedPrefixes:
    """The folder of all models' saved prefixes; ``key``: what a state of this engine depends on."""

    def __init__(self, folder: Path, key: str, saved_mb: int) -> None:
        self._folder, self._key, self._most = folder, key, saved_mb * _MIB

    def save(self, name: str, tokens: Tokens, state: State) -> SavedPrefix:
        path = self._path(name)
        used = sum(file.stat().st_size for file in self._folder.glob(f"*{_SUFFIX}") if file != path)
        if used + state.nbytes + tokens.nbytes > self._most:
            raise BadRequestError(
                f"Saved prefixes take {used >> 20} MiB, and this one {state.nbytes >> 20} MiB more; {self._most >> 20} are "
                "allowed (engine.prefixes.saved_mb).",
                hint=f"Remove some from {self._folder}.",
            )
        return SavedPrefix(int(tokens.size), write_prefix(path, self._key, "", tokens, state))

    def read(self, name: str) -> tuple[Tokens, State]:
        path = self._path(name)
        try:
            return read_prefix(path, self._key, self._most)
        except FileNotFoundError:
            raise BadRequestError(f"No prefix is saved as {shown(name)}.") from None
        except StateFileError as error:
            raise BadRequestError(
                f"The prefix {shown(name)} is not usable for this model: {error.reason}.", hint="Save it again."
            ) from None

    def _path(self, name: str) -> Path:
        """In the folder, whatever the name says."""
        if not _NAME.match(name):
            raise BadRequestError(
                f"{shown(name)} is no name of a saved prefix.", hint="Use up to 100 letters, digits, '-', '_' and '.'."
            )
        return self._folder / f"{name}{_SUFFIX}"
