"""The workshop: makes models of models. Each job's product appears whole or not at all, and enters the catalogue with where it came
from; a job tells how far it is, and can be cancelled (:class:`Control`)."""

from __future__ import annotations

from parlant_local.workshop.control import Control, Moment
from parlant_local.workshop.converting import CONVERSIONS, convert
from parlant_local.workshop.editing import SPECIAL_TOKENS, edit
from parlant_local.workshop.importance import MadeImatrix, conversations_in, imatrix
from parlant_local.workshop.quantizing import QUANTIZATIONS, quantize
from parlant_local.workshop.sharding import merge, split

__all__ = [
    "CONVERSIONS",
    "QUANTIZATIONS",
    "SPECIAL_TOKENS",
    "Control",
    "MadeImatrix",
    "Moment",
    "conversations_in",
    "convert",
    "edit",
    "imatrix",
    "merge",
    "quantize",
    "split",
]
