"""Answers kept for exact repeats of calls whose result does not depend on chance."""

from parlant_local.engine.outputs.cache import OutputCache
from parlant_local.engine.outputs.disk import OutputDisk
from parlant_local.engine.outputs.keys import request_key, text_key
from parlant_local.engine.outputs.results import keep_generation, keep_row, recall_generation, recall_row

__all__ = [
    "OutputCache",
    "OutputDisk",
    "keep_generation",
    "keep_row",
    "recall_generation",
    "recall_row",
    "request_key",
    "text_key",
]
