"""Results put into the cache, and taken out of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from parlant_local.engine.outputs.cache import OutputCache
from parlant_local.engine.requests import Generation
from parlant_local.messages import Timings

__all__ = ["keep_generation", "keep_row", "recall_generation", "recall_row"]

_GENERATION: TypeAdapter[Generation] = TypeAdapter(Generation)


def keep_generation(outputs: OutputCache, key: str, generation: Generation) -> None:
    outputs.put(key, _GENERATION.dump_json(generation))


def recall_generation(outputs: OutputCache, key: str) -> Generation | None:
    """An earlier result, as one that took no work."""
    if (data := outputs.get(key)) is None:
        return None
    try:
        found = _GENERATION.validate_json(data)
    except ValueError:
        outputs.drop(key)
        return None
    prompt = found.usage.prompt_tokens
    return replace(
        found,
        usage=replace(found.usage, cached_tokens=prompt),
        timings=Timings(reused_tokens=prompt, from_cache=True),
    )


def keep_row(outputs: OutputCache, key: str, row: npt.NDArray[np.float32]) -> None:
    outputs.put(key, row.astype("<f4").tobytes())


def recall_row(outputs: OutputCache, key: str, dimensions: int) -> npt.NDArray[np.float32] | None:
    """The pooled row of a text, of shape ``(dimensions,)``."""
    if (data := outputs.get(key)) is None:
        return None
    if len(data) != 4 * dimensions:
        outputs.drop(key)
        return None
    return np.frombuffer(data, dtype="<f4").astype(np.float32)
