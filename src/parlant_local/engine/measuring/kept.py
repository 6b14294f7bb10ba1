"""What was measured of a text before an interruption, window by window, in a file that goes when the measurement is done."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from parlant_local.errors import StateFileError
from parlant_local.storage import read_text

__all__ = ["KeptWindows"]

_MAX_BYTES = 256 << 20
_DAYS = 7
_Figures = list[list[float]]
_LINE: TypeAdapter[tuple[int, _Figures]] = TypeAdapter(tuple[int, _Figures])


class KeptWindows:
    """The figures of each token of the windows that are done. A file of a week ago is of nobody's measurement."""

    def __init__(self, folder: Path, key: object) -> None:
        """``key``: everything that the figures depend on."""
        self._path = folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.jsonl"
        self._found: dict[int, _Figures] = {}
        self.problem: str | None = None
        """Why nothing is kept any more; no reason to measure nothing."""

    @classmethod
    def read(cls, folder: Path, key: object) -> Self:
        kept = cls(folder, key)
        _remove_old(folder)
        try:
            lines = read_text(kept._path, _MAX_BYTES).splitlines()
        except (FileNotFoundError, StateFileError):
            lines = []
        for line in lines:
            try:
                number, figures = _LINE.validate_json(line)
            except ValidationError:
                continue  # cut off by a kill
            kept._found[number] = figures
        return kept

    @property
    def windows(self) -> Mapping[int, _Figures]:
        return self._found

    def add(self, number: int, figures: Sequence[Sequence[float]]) -> None:
        """One write of one line; a kill leaves a whole line or a cut one, which :meth:`read` drops."""
        if self.problem is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps([number, figures]) + "\n")  # after a cut one
        except OSError as error:
            self.problem = f"{self._path.parent} can't be written: {error.strerror or error}"

    def done(self) -> None:
        self._path.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        try:
            if time.time() - path.stat().st_mtime > _DAYS * 86_400:
                path.unlink()
        except OSError:
            continue  # another process removes it, too
