"""Quantizes a model row by row to one type, for builds of llama.cpp that can't do it as a whole.

The blocks are ggml's own, so that the tensors are those of ``llama-quantize --pure``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parlant_local.engine.native.quantizing import RowQuantizer
from parlant_local.errors import BadRequestError, InvalidModelError
from parlant_local.gguf_info import GGUFHeader, TensorInfo
from parlant_local.gguf_info.types import TENSOR_TYPES
from parlant_local.workshop.copying import Made, write_file
from parlant_local.workshop.editing import planned
from parlant_local.workshop.values import Change

__all__ = ["write_flat"]

Floats = npt.NDArray[np.float32]

_F32, _F16, _UINT32 = 0, 1, 4
_CODES = {name: code for code, (name, _, _) in TENSOR_TYPES.items()}
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_ROWS_BYTES = 64 << 20
"""Of rows in memory at a time."""
# Too small, or looked up: llama.cpp leaves these as they are.
_KEPT = re.compile(
    r"_norm\.weight$|ffn_gate_inp\.weight$|^position_embd|^token_types|ssm_conv1d|shortconv\.conv|altup|laurel"
    r"|per_layer_model_proj|time_mix_(first|[wvag]\d|decay_w\d|lerp_fused)|attn_rel_b"
)


def write_flat(
    sources: Sequence[Path],
    target: Path,
    report: Callable[[int, int, str], None],
    *,
    kind: int,
    file_type: int,
    threads: int,
    overrides: Sequence[tuple[str, int]] = (),
    importance: Mapping[str, Floats],
    requantize: bool = False,
    keep_output: bool = False,
    output_type: int | None = None,
    embedding_type: int | None = None,
    **_: object,
) -> None:
    """One file of the model in ``sources``. Raises :class:`BadRequestError`, :class:`InvalidModelError`."""
    quantizer = RowQuantizer()
    split = ("split.no", "split.count", "split.tensors.count")
    first = planned(sources[0], (), ()).header
    changes = [
        Change("general.file_type", str(file_type), _UINT32),
        Change("general.quantization_version", "2", _UINT32),
    ]
    plan = planned(sources[0], changes, [key for key in split if key in first.metadata])
    headers = [first, *(planned(path, (), ()).header for path in sources[1:])]
    has_output = any(info.name == "output.weight" for header in headers for info in header.tensors)

    def wanted(info: TensorInfo) -> int:
        if len(info.shape) < 2 or not info.name.endswith("weight") or _KEPT.search(info.name):
            return _CODES[info.type]
        chosen = kind
        if info.name == "output.weight" or (info.name == "token_embd.weight" and not has_output):
            chosen = _CODES[info.type] if keep_output and has_output else chosen if output_type is None else output_type
        if info.name == "token_embd.weight" and embedding_type is not None:
            chosen = embedding_type
        for pattern, other in overrides:
            if re.search(pattern, info.name):
                chosen = other
                break
        # A row that is no whole number of blocks stays as near as it was.
        return chosen if info.shape[0] % TENSOR_TYPES[chosen][1] == 0 else _F16

    total = sum(len(header.tensors) for header in headers)
    weights, done = [], 0
    with ThreadPoolExecutor(threads) as pool:

        def made(header: GGUFHeader, info: TensorInfo) -> Made:
            chosen = wanted(info)
            label, block, width = TENSOR_TYPES[chosen]
            result = TensorInfo(info.name, info.shape, label, 0, info.elements // block * width)

            def pieces() -> Sequence[bytes]:
                nonlocal done
                done += 1
                report(done, total, "Quantizing")
                if chosen == _CODES[info.type]:
                    return [_raw(header, info)]
                return _quantized(header, info, chosen, quantizer, pool, importance.get(info.name), requantize)

            return Made(result, pieces)

        weights = [made(header, info) for header in headers for info in header.tensors]
        write_file(target, plan.entries, weights, version=first.version, alignment=plan.alignment(), meter=None)


def _raw(header: GGUFHeader, info: TensorInfo) -> bytes:
    return np.fromfile(header.path, np.uint8, info.nbytes, offset=header.header_bytes + info.offset).tobytes()


def _quantized(
    header: GGUFHeader,
    info: TensorInfo,
    kind: int,
    quantizer: RowQuantizer,
    pool: ThreadPoolExecutor,
    importance: Floats | None,
    requantize: bool,
) -> list[bytes]:
    if info.type not in _DTYPES:
        if requantize:
            raise BadRequestError(
                f"{info.name} is {info.type}, from which this build of llama.cpp can't quantize.",
                hint='Start from an F16 or F32 model, or `pip install "parlant-local[native]"`.',
            )
        raise BadRequestError(
            f"{info.name} is {info.type}: quantizing it again loses more.", hint="Start from an F16 or F32 model."
        )
    width, rows = info.shape[0], info.elements // info.shape[0]
    if kind > _F16 and quantizer.needs_importance(kind) and importance is None:
        raise BadRequestError(
            f"{TENSOR_TYPES[kind][0]} of {info.name} needs an importance matrix.",
            hint="--imatrix FILE; `parlant-local imatrix` makes one.",
        )
    matrices = info.elements // (width * info.shape[1])
    if importance is not None and importance.size != width * matrices:
        raise InvalidModelError(f"The importance matrix has {importance.size:,} values for {info.name}.")
    per_matrix = info.shape[1]
    step = max(1, min(per_matrix, _ROWS_BYTES // (4 * width)))
    starts = [
        (matrix, begin, min(begin + step, (matrix + 1) * per_matrix))
        for matrix in range(matrices)
        for begin in range(matrix * per_matrix, (matrix + 1) * per_matrix, step)
    ]

    def piece(part: tuple[int, int, int]) -> bytes:
        matrix, begin, end = part
        values = _floats(header, info, begin, end, width)
        own = None if importance is None else importance[matrix * width : (matrix + 1) * width]
        if kind == _F32:
            return values.astype("<f4").tobytes()
        return quantizer.quantized(values, kind, own).tobytes()

    assert rows == matrices * per_matrix
    return list(pool.map(piece, starts))


def _floats(header: GGUFHeader, info: TensorInfo, begin: int, end: int, width: int) -> Floats:
    dtype = np.dtype(_DTYPES[info.type])
    offset = header.header_bytes + info.offset + begin * width * dtype.itemsize
    data = np.fromfile(header.path, dtype, (end - begin) * width, offset=offset).reshape(-1, width)
    if info.type == "BF16":
        data = (data.astype(np.uint32) << 16).view(np.float32)
    values = data.astype(np.float32)
    if not np.isfinite(values).all():
        raise InvalidModelError(f"The tensor {info.name} has values that are not finite.")
    return values
