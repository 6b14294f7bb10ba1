"""Puts what the host's prompt already says into the schema of the answer.

Each file here handles one family of the host's schemas, by name, and documents which section and prop it
reads. A family's function gets a private, reference-free copy of the plain schema and changes it in place; where a
section is missing or not recognised it raises :class:`NotUnderstood`, and the plain schema is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import NotUnderstood, inlined

__all__ = ["Tightening", "families", "tighten"]

Tightener = Callable[[dict[str, Any], PromptBuilder], None]

_FAMILIES = ("checks", "disambiguation", "drafts", "canned", "tools", "journeys", "evaluation")


@dataclass(frozen=True)
class Tightening:
    schema: Mapping[str, Any]
    tightened: bool
    problem: str = ""
    """Why a known schema was left plain."""


@cache
def families() -> Mapping[str, Tightener]:
    """Host schema name to the function that tightens it."""
    found: dict[str, Tightener] = {}
    for family in _FAMILIES:
        found.update(import_module(f"{__name__}.{family}").TIGHTENERS)
    return found


def tighten(name: str, schema: Mapping[str, Any], prompt: PromptBuilder) -> Tightening:
    """``schema`` with what ``prompt`` says built in, or ``schema`` itself."""
    tightener = families().get(name)
    if tightener is None:
        return Tightening(schema, tightened=False)
    try:
        private = inlined(schema)
        tightener(private, prompt)
    except NotUnderstood as error:
        return Tightening(schema, tightened=False, problem=str(error))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # A section of another release, in an unknown format.
        return Tightening(schema, tightened=False, problem=f"{type(error).__name__}: {error}")
    return Tightening(private, tightened=True)
