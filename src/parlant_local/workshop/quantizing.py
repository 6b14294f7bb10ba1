"""Quantizes a model: to one of llama.cpp's mixtures, or flat to one type, with exceptions by tensor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.catalog.quantizations import without_quantization
from parlant_local.cores import usable_cores
from parlant_local.engine.native import library
from parlant_local.engine.native.quantizing import Quantizer
from parlant_local.errors import BadRequestError, ConfigurationError
from parlant_local.gguf_info import GGUFHeader, read_header, sha256_file
from parlant_local.gguf_info.types import FILE_TYPES, TENSOR_TYPES
from parlant_local.paths import user_path
from parlant_local.workshop.child import run_child
from parlant_local.workshop.control import Control
from parlant_local.workshop.imatrix_files import read_imatrix
from parlant_local.workshop.products import material, produce, product_file

__all__ = ["QUANTIZATIONS", "quantize"]

_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4_MOE": "MXFP4"}
QUANTIZATIONS: Mapping[str, int] = {label: number for number, label in FILE_TYPES.items() if label != "NVFP4"}
"""llama.cpp's number of each quantization of whole models, by its label."""
_FLAT = {"Q2_K_S": "Q2_K", "Q3_K_S": "Q3_K", "Q4_K_S": "Q4_K", "Q5_K_S": "Q5_K"}
"""The mixtures whose main type has another name."""
_NOT_WEIGHTS = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
_TYPES = {label: number for number, (label, _, _) in TENSOR_TYPES.items() if label not in _NOT_WEIGHTS}
_FULL = ("F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for, in llama.cpp's numbers."""

    label: str
    file_type: int
    overrides: tuple[tuple[str, int], ...]
    output_type: int | None
    embedding_type: int | None


def quantize(
    model: str | Path,
    quantization: str,
    *,
    overrides: Sequence[str] = (),
    output_type: str | None = None,
    embedding_type: str | None = None,
    keep_output: bool = False,
    pure: bool = False,
    requantize: bool = False,
    imatrix: str | Path | None = None,
    threads: int | None = None,
    name: str | None = None,
    output: str | Path | None = None,
    manager: LocalModelManager | None = None,
    control: Control | None = None,
) -> LocalModel:
    """``model``, best in F16, BF16 or F32, as ``quantization`` (``Q4_K_M``, ``IQ2_XS`` …), in one file of the catalogue.

    ``overrides``: each ``PATTERN=TYPE``, for tensors whose names the regular expression finds; the first that does counts.
    ``output_type`` and ``embedding_type``: of those two tensors; ``keep_output`` leaves the output as it is. ``pure``: one type for
    all matrices, where llama.cpp would mix. ``requantize``: start from a quantized model, which loses more. ``imatrix``: a file of
    :func:`imatrix`. A build of llama.cpp that can't quantize whole models makes pure ones only.

    Raises :class:`BadRequestError`, :class:`ConfigurationError` for what the build can't do, :class:`EngineError` with llama.cpp's
    reason, :class:`InvalidModelError` for a file that crashes it.
    """
    manager, control = manager or LocalModelManager(), control or Control()
    with material(manager, model, control) as source:
        header = read_header(source.paths[0])
        choice = _chosen(quantization, overrides, output_type, embedding_type, header)
        if not requantize and (found := _quantized(header)):
            raise BadRequestError(
                f"{source.title} is quantized already ({found}): doing it again loses more than doing it once.",
                hint="Start from an F16, BF16 or F32 model, or give --requantize.",
            )
        flavour = manager.settings.engine.library
        flat = _flat_type(choice, pure, whole=Quantizer.available(library(flavour)))
        matrix = None if imatrix is None else user_path(imatrix).absolute()
        if matrix is not None:
            _check_fits(matrix, header)
        chosen = name or f"{without_quantization(source.title)}-{choice.label.lower()}"

        def write(path: Path) -> None:
            spec = {
                "source": [str(each) for each in source.paths],
                "target": str(path),
                "file_type": choice.file_type,
                "flat": flat,
                "imatrix": matrix and str(matrix),
                "threads": threads or usable_cores(),
                "overrides": choice.overrides,
                "output_type": choice.output_type,
                "embedding_type": choice.embedding_type,
                "keep_output": keep_output,
                "pure": pure,
                "requantize": requantize,
            }
            run_child("quantize", spec, library=flavour, file=source.title, control=control)

        return produce(
            manager,
            product_file(manager, chosen, output),
            name=chosen,
            verb="quantize",
            source=source,
            options={
                "type": choice.label,
                "tensor_types": list(overrides),
                "output_type": output_type,
                "embedding_type": embedding_type,
                "keep_output": keep_output,
                "pure": pure,
                "requantize": requantize,
                "imatrix": matrix and matrix.name,
                "imatrix_sha256": matrix and sha256_file(matrix),
                "llama_cpp": str(library(flavour).build),
            },
            size=header.file_size,
            write=write,
        )


def _chosen(
    quantization: str, overrides: Sequence[str], output_type: str | None, embedding_type: str | None, header: GGUFHeader
) -> Choice:
    label = _ALIASES.get(quantization.upper(), quantization.upper())
    if label not in QUANTIZATIONS:
        raise BadRequestError(
            f"{quantization!r} is not a quantization.", hint=f"Known: {', '.join(sorted(QUANTIZATIONS))}."
        )
    return Choice(
        label,
        QUANTIZATIONS[label],
        tuple(_override(each, header) for each in overrides),
        None if output_type is None else _type(output_type),
        None if embedding_type is None else _type(embedding_type),
    )


def _override(text: str, header: GGUFHeader) -> tuple[str, int]:
    pattern, mark, kind = text.rpartition("=")
    if not mark or not pattern:
        raise BadRequestError(f"{text!r} is not PATTERN=TYPE.", hint="Such as ffn_down=Q6_K.")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise BadRequestError(f"{pattern!r} is not a regular expression: {error}.") from None
    if not any(expression.search(each.name) for each in header.tensors):
        raise BadRequestError(
            f"No tensor of the model is found by {pattern!r}.", hint="Such as blk.0.attn_v, ffn_down."
        )
    return pattern, _type(kind)


def _type(text: str) -> int:
    if (number := _TYPES.get(text.upper())) is None:
        raise BadRequestError(f"{text!r} is not a type of tensor.", hint=f"Known: {', '.join(sorted(_TYPES))}.")
    return number


def _quantized(header: GGUFHeader) -> str:
    """The type of most of its quantized weights."""
    counts: Counter[str] = Counter()
    for each in header.tensors:
        if len(each.shape) > 1 and each.type not in _FULL:
            counts[each.type] += each.elements
    return counts.most_common(1)[0][0] if counts else ""


def _flat_type(choice: Choice, pure: bool, *, whole: bool) -> int | None:
    """The one type where rows are quantized one by one; None where llama.cpp does the whole."""
    if whole:
        return None
    label = _FLAT.get(choice.label, choice.label)
    if label in _TYPES and (pure or label in _FULL or label == "Q8_0"):
        return _TYPES[label]
    install = 'or `pip install "parlant-local[native]"`, which is compiled for this processor'
    raise ConfigurationError(
        f"The installed build of llama.cpp can't make {choice.label}, which mixes types.",
        hint=f"--pure makes one of a single type ({choice.label.partition('_K')[0]}_K, say), {install}."
        if label in _TYPES
        else f"Choose a pure type (Q4_K_S --pure, Q8_0 …), {install}.",
    )


def _check_fits(path: Path, header: GGUFHeader) -> None:
    """A matrix of another model is refused: llama.cpp would ignore what it has no tensor for."""
    shapes = {each.name: each for each in header.tensors}
    known = read_imatrix(path).sums
    for name, sums in known.items():
        width = shapes[name].shape[0] if name in shapes else 0
        if sums.squares.shape[1] != width:
            raise BadRequestError(
                f"{path.name} belongs to another model: {name} has {width:,} columns here, "
                f"{sums.squares.shape[1]:,} there.",
                hint="`parlant-local imatrix` makes one of this model.",
            )
