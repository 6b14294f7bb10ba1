"""Quantizing, in the process that does native work: by llama.cpp as a whole, or row by row where the build lacks that."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parlant_local.engine.native import library
from parlant_local.engine.native.log import listen
from parlant_local.engine.native.quantizing import Quantizer
from parlant_local.workshop.flat import write_flat
from parlant_local.workshop.imatrix_files import read_imatrix

__all__ = ["work"]

Report = Callable[[int, int, str], None]

_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")


def work(
    report: Report,
    *,
    source: list[str],
    target: str,
    file_type: int,
    flat: int | None,
    imatrix: str | None,
    threads: int,
    **options: Any,
) -> dict[str, Any]:
    """``flat``: the one type of a row-by-row quantization; None where llama.cpp mixes them."""
    importance = None if imatrix is None else read_imatrix(Path(imatrix)).importance()
    overrides = [(str(pattern), int(kind)) for pattern, kind in options.pop("overrides")]
    if flat is not None and not Quantizer.available(library()):
        write_flat(
            [Path(each) for each in source],
            Path(target),
            report,
            kind=flat,
            file_type=file_type,
            overrides=overrides,
            importance=importance or {},
            threads=threads,
            **options,
        )
        return {"by": "rows"}

    def hear(line: str) -> None:
        if (match := _TENSOR.match(line)) is not None:
            report(int(match[1]), int(match[2]), "Quantizing")

    quantizer = Quantizer()
    listen(hear)
    quantizer.run(
        source[0],
        target,
        file_type=file_type,
        threads=threads,
        overrides=overrides,
        importance=importance,
        **options,
    )
    return {"by": "llama.cpp"}
