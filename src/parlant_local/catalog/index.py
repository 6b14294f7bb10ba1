"""The catalogue on disk: one small JSON file per model, replaced atomically, so that processes never see half a record.

Reading takes no lock. Writers of several records at once (a new id must be free) hold the folder's lock.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from parlant_local.catalog.publishing import publish
from parlant_local.catalog.records import LocalModel
from parlant_local.errors import CatalogError

__all__ = ["ModelIndex"]

_VERSION = 1
_LOCK_SECONDS = 30.0


class ModelIndex:
    """Records below ``folder``; what other processes write shows at the next read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unreadable: dict[str, str] = {}
        """File name to reason, of records that could not be read at the last look."""
        self._seen: dict[str, tuple[tuple[int, int, int], LocalModel]] = {}

    def exists(self) -> bool:
        return self.folder.is_dir()

    def read(self) -> dict[str, LocalModel]:
        """Every record, by id, in the order of ids."""
        records: dict[str, LocalModel] = {}
        seen: dict[str, tuple[tuple[int, int, int], LocalModel]] = {}
        self.unreadable = {}
        for entry in self._entries():
            try:
                status = entry.stat()
                stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
                known = self._seen.get(entry.name)
                record = known[1] if known and known[0] == stamp else self._load(Path(entry.path))
            except FileNotFoundError:
                continue  # deleted by another process since the folder was listed
            except (OSError, ValueError, KeyError, TypeError) as error:
                self.unreadable[entry.name] = str(error)
                continue
            seen[entry.name] = (stamp, record)
            records[record.id] = record
        self._seen = seen
        return dict(sorted(records.items()))

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder) as entries:
                return [entry for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CatalogError(f"The model index {self.folder} can't be read: {error.strerror}.") from None

    @staticmethod
    def _load(path: Path) -> LocalModel:
        data = json.loads(path.read_text("utf-8"))
        if data.get("version") != _VERSION:
            raise ValueError(f"it is of version {data.get('version')!r}")
        return LocalModel.from_dict(data["model"])

    def write(self, model: LocalModel) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(model.id)
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            scratch.write_text(json.dumps({"version": _VERSION, "model": model.as_dict()}, indent=1), "utf-8")
            publish(scratch, path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise CatalogError(
                f"The record of {model.id} can't be written to {self.folder}: {error.strerror}."
            ) from None

    def remove(self, model_id: str) -> None:
        self._path(model_id).unlink(missing_ok=True)

    def _path(self, model_id: str) -> Path:
        return self.folder / (model_id.replace("/", "--").replace(":", "+") + ".json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all processes that use this folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout:
            raise CatalogError(
                f"Another process has held the model index {self.folder} for {_LOCK_SECONDS:.0f} s.",
                hint="Wait for it, or end it.",
            ) from None
