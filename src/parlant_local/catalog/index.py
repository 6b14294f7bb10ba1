"""The catalogue on disk: one small JSON file per model, replaced atomically, so that processes never see a partial record.

Reading takes no lock. Writers of several records at once (a new id must be free) hold the folder's lock. A record that
can't be read is listed as broken, and set aside (never overwritten) by its replacement.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parlant_local.catalog.records import LocalModel, ModelSource, ModelState, ModelType
from parlant_local.errors import CatalogError, StateFileError
from parlant_local.paths import is_dir
from parlant_local.storage import locked, read_json, set_aside, sweep, write_whole

__all__ = ["ModelIndex"]

_VERSION = 1
_LOCK_SECONDS = 30.0
_MAX_RECORD = 16 << 20  # an Ollama template may have 4 MiB

Stamp = tuple[int, int, int, int]


class ModelIndex:
    """Records below ``folder``; changes of other processes are seen at the next read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unreadable: dict[str, str] = {}
        """File name to reason, of records that could not be read last time."""
        self._seen: dict[str, tuple[Stamp, LocalModel | str]] = {}

    def exists(self) -> bool:
        return is_dir(self.folder)

    def read(self) -> dict[str, LocalModel]:
        """Every record that can be read, by id, in the order of ids."""
        records: dict[str, LocalModel] = {}
        seen: dict[str, tuple[Stamp, LocalModel | str]] = {}
        unreadable: dict[str, str] = {}
        for entry in self._entries():
            try:
                status = entry.stat()
                stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                known = self._seen.get(entry.name)
                record = known[1] if known and known[0] == stamp else self._load(Path(entry.path))
            except FileNotFoundError:
                if entry.is_symlink():
                    unreadable[entry.name] = "it is a dangling symbolic link"
                continue  # else deleted by another process since the folder was listed
            except OSError as error:
                unreadable[entry.name] = error.strerror or str(error)
                continue
            seen[entry.name] = (stamp, record)
            if isinstance(record, LocalModel):
                records[record.id] = record
            else:
                unreadable[entry.name] = record
        self._seen, self.unreadable = seen, unreadable
        return dict(sorted(records.items()))

    def damaged(self) -> list[LocalModel]:
        """Placeholders for records that could not be read, so that they are listed and can be removed."""
        return [
            LocalModel(
                id=(model_id := _id_of(name)),
                name=model_id.rpartition("/")[2],
                type=ModelType.OTHER,
                source=ModelSource.CUSTOM,
                state=ModelState.BROKEN,
                reason=f"its record {self.folder / name} can't be read ({reason}); `parlant-local rm {model_id}` removes "
                "it, pulling or adding the model again replaces it",
            )
            for name, reason in self.unreadable.items()
        ]

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder) as entries:
                return [entry for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CatalogError(f"The model index {self.folder} can't be read: {error.strerror}.") from None

    def _load(self, path: Path) -> LocalModel | str:
        """The record, or why there is none."""
        try:
            data = read_json(path, _MAX_RECORD)
        except StateFileError as error:
            return error.reason
        if not isinstance(data, dict):
            return "it is not a record"
        if data.get("version") != _VERSION:
            return f"its version {str(data.get('version'))[:20]!r} is not supported"
        try:
            record = LocalModel.from_dict(data.get("model"))
        except ValueError as error:
            return str(error)
        if _file_name(record.id) != path.name:
            return f"it is the record of {record.id}"
        return record

    def write(self, model: LocalModel) -> None:
        try:
            data = LocalModel.from_dict(model.as_dict()).as_dict()
        except ValueError as error:
            raise CatalogError(f"The model {model.id!a} can't be catalogued: {error}.") from None
        path = self.folder / _file_name(model.id)
        try:
            self._set_damaged_aside(path)
            write_whole(path, json.dumps({"version": _VERSION, "model": data}, indent=1))
        except StateFileError as error:
            raise CatalogError(f"The record of {model.id} can't be written to {self.folder}: {error.reason}.") from None

    def _set_damaged_aside(self, path: Path) -> None:
        try:
            damaged = isinstance(self._load(path), str)
        except FileNotFoundError:
            return
        if damaged:
            set_aside(path)

    def remove(self, model_id: str) -> None:
        """Remove a model's record; anything there that is not a file is set aside."""
        for name in {_file_name(model_id), *(name for name in self.unreadable if _id_of(name) == model_id)}:
            path = self.folder / name
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                if not path.is_dir():
                    raise CatalogError(f"The record {path} can't be removed: {error.strerror}.") from None
                set_aside(path)

    def sweep(self) -> None:
        """Remove leftovers of killed writers."""
        sweep(self.folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclusive among all processes that use this folder."""
        try:
            with locked(self.folder / ".lock", _LOCK_SECONDS):
                yield
        except TimeoutError:
            raise CatalogError(
                f"Another process has held the model index {self.folder} for {_LOCK_SECONDS:.0f} s.",
                hint="Wait for it, or stop it.",
            ) from None
        except StateFileError as error:
            raise CatalogError(f"The model index {self.folder} can't be used: {error}") from None


def _file_name(model_id: str) -> str:
    return model_id.replace("/", "--").replace(":", "+") + ".json"


def _id_of(name: str) -> str:
    """The inverse, as far as possible."""
    model_id = name.removesuffix(".json").replace("--", "/").replace("+", ":")
    return model_id if model_id.isprintable() else model_id.encode("unicode_escape").decode()
