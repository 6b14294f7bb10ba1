"""Adapters by name: the files in the home's folder ``adapters``, and those that the settings name."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from parlant_local.catalog.records import LocalModel
from parlant_local.errors import BadReferenceError, InvalidModelError, ModelNotFoundError
from parlant_local.gguf_info import check_is_adapter, read_header
from parlant_local.paths import user_path
from parlant_local.settings import EngineSettings, Settings

__all__ = ["Adapted", "Adapter", "Adapters", "adapted", "no_adapter"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_AT_ONCE = 4
_MAX_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class Adapter:
    name: str
    path: Path
    scale: float = 1.0
    problem: str | None = None
    """Why it can't be used."""
    architecture: str | None = None
    """Of the models that it was made for."""
    stamp: str = ""
    """Tells its file from the one that replaced it."""
    rescaled: bool = False
    """Whether the scale is one that a name says."""

    @property
    def said(self) -> str:
        """Its part of a model's name."""
        return f"{self.name}@{self.scale:g}" if self.rescaled else self.name

    @property
    def scaled(self) -> str:
        """What loads it in this way, as one word."""
        return f"{self.name}@{self.scale:g}#{self.stamp}"


@dataclass(frozen=True, slots=True)
class Adapted:
    """A model, and the adapters that its name puts on it."""

    record: LocalModel
    adapters: tuple[Adapter, ...] = ()

    @property
    def id(self) -> str:
        return ":".join(filter(None, (self.record.id, "+".join(adapter.said for adapter in self.adapters))))

    def on(self, settings: EngineSettings) -> EngineSettings:
        """``settings`` with these adapters, besides their own."""
        added = {str(adapter.path): adapter.scale for adapter in self.adapters}
        return settings.model_copy(update={"lora": {**settings.lora, **added}}) if added else settings


class Adapters:
    """Reads the folder anew with each question: who puts a file there, or takes it away, need not restart anything."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.home / "adapters"
        self._settings = settings.adapters
        self._scales: dict[str, float] = {}

    def all(self) -> Mapping[str, Adapter]:
        """By name; where the settings and the folder have the same name, the settings' one."""
        found = {path.stem: Adapter(path.stem, path) for path in self._files()}
        for name, given in self._settings.items():
            found[name] = Adapter(name, user_path(given.path), given.scale)
        scaled = (replace(item, scale=self._scales.get(item.name, item.scale)) for item in found.values())
        return {item.name: _examined(item) for item in scaled}

    def fitting(self, record: LocalModel) -> list[Adapter]:
        """Those that can be put on a model."""
        return [
            each for each in self.all().values() if each.problem is None and each.architecture == record.architecture
        ]

    def rescale(self, name: str, scale: float) -> None:
        """Another scale for calls that name none, until the process ends."""
        self._scales[name] = scale

    def split(self, name: str) -> tuple[str, tuple[Adapter, ...]] | None:
        """A model's name and the adapters on it, with their scales; None for a name without adapters.

        ``MODEL:ONE+TWO@0.5`` names two. Raises :class:`BadReferenceError` for an adapter that can't be used, or twice the same.
        """
        model, colon, rest = name.rpartition(":")
        known = self.all() if colon and model and rest else {}
        wanted = [part.partition("@") for part in rest.split("+")]
        if not known or any(part not in known for part, _, _ in wanted):
            return None
        if len(wanted) > _MAX_AT_ONCE:
            raise BadReferenceError(f"{name} names {len(wanted)} adapters; {_MAX_AT_ONCE} at once are allowed.")
        found: dict[str, Adapter] = {}
        for part, at, scale in wanted:
            adapter = known[part]
            if adapter.problem is not None:
                raise BadReferenceError(f"The adapter {part} can't be used: {adapter.problem}")
            if part in found:
                raise BadReferenceError(f"{name} names the adapter {part} twice.")
            if at:
                given = _scale(scale, name)
                adapter = replace(adapter, scale=given, rescaled=given != adapter.scale)
            found[part] = adapter
        return model, tuple(found[part] for part in sorted(found))

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.glob("*.gguf") if _NAME.fullmatch(path.stem))
        except OSError:  # missing, or unreadable: there are none
            return []


def adapted(record: LocalModel, adapters: tuple[Adapter, ...]) -> Adapted:
    """Raises :class:`BadReferenceError` where they were not made for it."""
    if record.path is None:
        raise BadReferenceError(
            f"{record.id} has no file here, and adapters are put on models that run in this process."
        )
    for adapter in adapters:
        if adapter.architecture != record.architecture:
            raise BadReferenceError(
                f"The adapter {adapter.name} was made for {adapter.architecture}, {record.id} is {record.architecture}."
            )
    return Adapted(record, adapters)


def no_adapter(record: LocalModel, name: str, adapters: Adapters) -> ModelNotFoundError:
    """The error for a name that begins with a model's, and goes on with what is no adapter."""
    fitting = [each.name for each in adapters.fitting(record)]
    listed = f"Those that fit it: {', '.join(fitting)}." if fitting else "None that fits it is known."
    return ModelNotFoundError(
        f"{name!r} names {name.rpartition(':')[0]} with an adapter that is not known.",
        hint=f"{listed} An adapter is a GGUF file in the folder `adapters` of the home, or named in the settings (adapters).",
    )


def _scale(text: str, name: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not abs(scale) <= _MAX_SCALE:
        raise BadReferenceError(f"{text!r} in {name} is no scale: a number from -100 to 100, as in MODEL:ADAPTER@0.5.")
    return scale


def _examined(adapter: Adapter) -> Adapter:
    try:
        status = adapter.path.stat()
    except OSError as error:
        return replace(adapter, problem=f"{adapter.path.name} can't be read: {error.strerror}.")
    problem, architecture = _header(adapter.path, status.st_size, status.st_mtime_ns)
    stamp = hashlib.sha256(repr((adapter.path, status.st_size, status.st_mtime_ns)).encode()).hexdigest()[:6]
    return replace(adapter, problem=problem, architecture=architecture, stamp=stamp)


@lru_cache(maxsize=256)
def _header(path: Path, _size: int, _stamp: int) -> tuple[str | None, str | None]:
    """What is wrong with a file, and its architecture; read once until the file changes."""
    try:
        header = read_header(path)
        check_is_adapter(header)
    except InvalidModelError as error:
        return error.message.replace(str(path), path.name), None  # clients read it
    return None, header.architecture
