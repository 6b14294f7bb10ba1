"""Divides a model into several files, and puts one together again, in llama.cpp's own form.

The first shard has the metadata; each says which it is, of how many, and how many tensors they have together.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import BadRequestError
from parlant_local.gguf_info import GGUFHeader
from parlant_local.workshop.control import Control
from parlant_local.workshop.copying import Meter, Piece, Weight, write_file
from parlant_local.workshop.editing import planned, weight_of
from parlant_local.workshop.products import material, produce, product_file, shard_of

__all__ = ["merge", "split"]

_MAX_SHARDS = 1000  # as gguf_info.shards reads them
_UINT16, _INT32, _UINT32 = 2, 5, 4
_KEYS = ("split.no", "split.count", "split.tensors.count")


def split(
    model: str | Path,
    *,
    max_bytes: int | None = None,
    max_tensors: int | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> LocalModel:
    """``model`` in files of at most ``max_bytes`` of tensors, or ``max_tensors``, each; a larger tensor has a file of its own.

    Files are named ``NAME-00001-of-0000N.gguf``. Raises :class:`BadRequestError` where it would stay one file, or is split already.
    """
    if (max_bytes is None) == (max_tensors is None) or (max_bytes or max_tensors or 0) < 1:
        raise BadRequestError("A shard needs one limit: bytes, or tensors.", hint="--size or --tensors.")
    manager, control = manager or LocalModelManager(), control or Control()
    with material(manager, model, control) as source:
        if len(source.paths) > 1:
            raise BadRequestError(f"{source.title} is split already.", hint="Merge it first.")
        plan = planned(source.paths[0], (), ())
        shards = _divided(plan.header, max_bytes, max_tensors)
        if not 1 < len(shards) <= _MAX_SHARDS:
            raise BadRequestError(
                f"{source.title} would be {len(shards):,} file{'s' if len(shards) > 1 else ''} with that limit.",
                hint=f"From 2 to {_MAX_SHARDS:,} are possible.",
            )
        chosen = name or f"{source.title}-split"
        meter = Meter(control, f"Splitting {source.title}", plan.header.weights_bytes)
        alignment, version, total = plan.alignment(), plan.header.version, len(plan.header.tensors)

        def write(path: Path) -> None:
            for number, weights in enumerate(shards):
                own: Sequence[Piece] = plan.entries if number == 0 else _aligned(alignment)
                entries = (*own, *_marks(number, len(shards), total))
                write_file(
                    shard_of(path, number, len(shards)),
                    entries,
                    weights,
                    version=version,
                    alignment=alignment,
                    meter=meter,
                )

        return produce(
            manager,
            product_file(manager, chosen, output),
            name=chosen,
            verb="split",
            source=source,
            options={"max_bytes": max_bytes, "max_tensors": max_tensors},
            size=plan.header.file_size + (64 << 10) * len(shards),
            write=write,
            shards=len(shards),
        )


def merge(
    model: str | Path,
    *,
    name: str | None = None,
    output: str | Path | None = None,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> LocalModel:
    """A split ``model`` in one file. Raises :class:`BadRequestError` for one that is not split."""
    manager, control = manager or LocalModelManager(), control or Control()
    with material(manager, model, control) as source:
        if len(source.paths) == 1:
            raise BadRequestError(f"{source.title} is one file already.")
        first = planned(source.paths[0], (), ())
        kept = planned(source.paths[0], (), [key for key in _KEYS if key in first.header.metadata])
        headers = [first.header, *(planned(path, (), ()).header for path in source.paths[1:])]
        weights = [weight_of(header, at) for header in headers for at in range(len(header.tensors))]
        chosen = name or f"{source.title}-merged"
        meter = Meter(control, f"Merging {source.title}", sum(header.weights_bytes for header in headers))

        def write(path: Path) -> None:
            write_file(
                path, kept.entries, weights, version=first.header.version, alignment=first.alignment(), meter=meter
            )

        return produce(
            manager,
            product_file(manager, chosen, output),
            name=chosen,
            verb="merge",
            source=source,
            options={},
            size=sum(header.file_size for header in headers),
            write=write,
        )


def _divided(header: GGUFHeader, max_bytes: int | None, max_tensors: int | None) -> list[list[Weight]]:
    shards: list[list[Weight]] = [[]]
    size = 0
    for at, info in enumerate(header.tensors):
        full = size + info.nbytes > max_bytes if max_bytes else len(shards[-1]) == max_tensors
        if shards[-1] and full:
            shards.append([])
            size = 0
        shards[-1].append(weight_of(header, at))
        size += info.nbytes
    return shards


def _marks(number: int, count: int, tensors: int) -> tuple[Piece, ...]:
    values = ((_KEYS[0], _UINT16, "<H", number), (_KEYS[1], _UINT16, "<H", count), (_KEYS[2], _INT32, "<i", tensors))
    return tuple(
        _key(key) + struct.pack("<I", kind) + struct.pack(layout, value) for key, kind, layout, value in values
    )


def _aligned(alignment: int) -> tuple[Piece, ...]:
    """Every shard says how its own tensors lie, where that is not the usual way."""
    return () if alignment == 32 else (_key("general.alignment") + struct.pack("<II", _UINT32, alignment),)


def _key(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
