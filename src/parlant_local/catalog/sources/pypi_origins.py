"""Where the files of a known package can be read: the package installed here, the package index, the same files on the hub."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

from parlant_local.catalog.sources.huggingface import hub_endpoint, hub_token
from parlant_local.catalog.sources.plan import SourceContext
from parlant_local.catalog.sources.pypi_contents import copy, unpack
from parlant_local.catalog.sources.pypi_known import KnownPackage, PackedFile, Wheel
from parlant_local.catalog.sources.pypi_pip import download_wheel
from parlant_local.catalog.transfer import FileFetch, FileTask, Making, RateLimit
from parlant_local.errors import CatalogError, HubBusyError, TransferError

__all__ = ["Hub", "Index", "Installed", "Origin", "installed"]


class Origin(Protocol):
    told: str
    """For people: what the files came from."""

    def read(self, piece: PackedFile, into: BinaryIO) -> None: ...


def installed(known: KnownPackage) -> Callable[[Path, Making], Installed] | None:
    """Reads the files of a package that is installed here in the known version: nothing is downloaded or imported."""
    found: dict[PackedFile, Path] = {}
    for piece in known.files:
        wheel = known.wheels[piece.wheel]
        try:
            distribution = metadata.distribution(wheel.package)
        except metadata.PackageNotFoundError:
            return None
        path = Path(str(distribution.locate_file(piece.member.partition("!")[0])))
        if distribution.version != wheel.version or not path.is_file():
            return None
        found[piece] = path
    return lambda scratch, making: Installed(known, found, scratch, making)


class Installed:
    def __init__(self, known: KnownPackage, paths: dict[PackedFile, Path], scratch: Path, making: Making) -> None:
        self._paths, self._scratch, self._making = paths, scratch, making
        self.told = f"{known.package} {known.version}, installed here"

    def read(self, piece: PackedFile, into: BinaryIO) -> None:
        self._making.item.phase = "unpacking"
        inner = piece.member.partition("!")[2]
        if inner:
            unpack(self._paths[piece], inner, into, self._scratch, self._making.stop)
            return
        with self._paths[piece].open("rb") as file:
            copy(file, into, self._making.stop)


class Index:
    """Each wheel is downloaded when the first of its files is read, and deleted when another wheel's is."""

    def __init__(self, known: KnownPackage, context: SourceContext, scratch: Path, making: Making) -> None:
        self._known, self._context, self._scratch, self._making = known, context, scratch, making
        self._at: tuple[int, Path] | None = None
        self.told = " ".join(f"{wheel.package}=={wheel.version}" for wheel in known.wheels[:1])
        making.item.total = known.download

    def read(self, piece: PackedFile, into: BinaryIO) -> None:
        wheel = self._wheel(piece.wheel)
        self._making.item.phase = "unpacking"
        unpack(wheel, piece.member, into, self._scratch, self._making.stop)

    def _wheel(self, number: int) -> Path:
        if self._at is not None and self._at[0] == number:
            return self._at[1]
        if self._at is not None:
            self._at[1].unlink()
        path = self._download(self._known.wheels[number], self._scratch / f"wheel{number}")
        self._at = number, path
        return path

    def _download(self, wheel: Wheel, folder: Path) -> Path:
        folder.mkdir()
        self._making.item.phase = "downloading"
        return download_wheel(
            wheel.requirement,
            folder,
            size=wheel.size,
            stop=self._making.stop,
            fetched=self._fetched,
            logger=self._context.logger,
        )

    def _fetched(self, count: int) -> None:
        """Counts bytes of wheels; pip writes a little beside them."""
        item = self._making.item
        self._making.meter.fetched(item, min(count, max((item.total or 0) - item.done, 0)))


class Hub:
    """The same files at the hub, in the layout that the package was made from."""

    def __init__(self, known: KnownPackage, context: SourceContext, scratch: Path, making: Making) -> None:
        if known.hub is None:
            raise CatalogError(f"{known.package} has no counterpart on the hub.")
        self._twin, self._context, self._scratch, self._making = known.hub, context, scratch, making
        self._known = known
        self.told = f"hf.co/{known.hub.repo}@{known.hub.revision}"
        making.item.total, making.item.done = None, 0

    def read(self, piece: PackedFile, into: BinaryIO) -> None:
        path = self._scratch / "from-hub"  # no .gguf, which other processes would catalogue
        token = hub_token()
        task = FileTask(
            url=f"{hub_endpoint()}/{self._twin.repo}/resolve/{quote(self._twin.revision, safe='')}/{quote(piece.name)}",
            destination=path,
            name=piece.name,
            sha256=piece.sha256 or self._known.sha256,
            headers=lambda: {"Authorization": f"Bearer {token}"} if token else {},
            is_gguf=False,
        )
        settings = self._context.settings.downloads
        limit = RateLimit(settings.max_rate_mb * 1e6 if settings.max_rate_mb else None)
        fetch = FileFetch(task, settings, self._making.meter, self._making.item, limit)
        self._making.when_stopped(fetch.abort)
        try:
            fetch.run()
        except (TransferError, HubBusyError) as error:
            error.hint = "Pull again later. Nothing of it is kept."
            raise
        with path.open("rb") as file:
            copy(file, into, self._making.stop)
        path.unlink()
