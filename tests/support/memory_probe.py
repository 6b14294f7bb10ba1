"""What a model takes of a process of its own, beside what it was said to take: ``python -m tests.support.memory_probe MODEL [JSON]``.

Prints one line of JSON, all in bytes. What a first use of any model costs (imports, the library) is paid before, by the
shipped model; retained prefixes, which have a limit of their own, are off.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import psutil

from parlant_local.engine import LlamaEngine
from parlant_local.engine.requests import GenerationRequest, JsonSchema
from parlant_local.engine.sizing import outlook
from parlant_local.gguf_info import read_header
from parlant_local.settings import EngineSettings
from tests.support.places import TINY

_SCHEMA = JsonSchema({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


async def probe(path: Path, embed: int = 0, fill: float = 0.9, **values: Any) -> dict[str, int]:
    settings = EngineSettings.model_validate(
        {"vetting": "never", "n_gpu_layers": 0, "prefixes": {"memory_mb": 0, "disk": False}, **values}
    )
    await _use(LlamaEngine(TINY, settings=settings.model_copy(update={"n_ctx": 512})), 64)
    sizing = outlook(read_header(path), settings)
    before = resident()
    engine = LlamaEngine(path, settings=settings)
    await engine.load()
    loaded = resident() - before
    if embed:
        await engine.embed([[5 + index % 200 for index in range(embed)]])
    else:
        await _use(engine, int(fill * min(sizing.layout.cells, sizing.layout.n_ctx)), close=False)
    found = {
        "cells": engine.stats().cells,
        "shown": sizing.estimate.total,
        "budgeted": engine.memory_bytes,
        "loaded": loaded,
        "used": resident() - before,
    }
    await engine.close()
    return {**found, "closed": resident() - before}


async def _use(engine: LlamaEngine, tokens: int, *, close: bool = True) -> None:
    """A long request and one with a schema."""
    await engine.generate(GenerationRequest([5 + index % 200 for index in range(tokens)], 4))
    await engine.generate(GenerationRequest("Hello", 24, constraint=_SCHEMA))
    if close:
        await engine.close()


if __name__ == "__main__":
    options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    print(json.dumps(asyncio.run(probe(Path(sys.argv[1]), **options))))
