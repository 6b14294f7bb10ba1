"""What is asked of every system: prompts, schemas, and how they are fired."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Call", "chat_stream", "crowd", "texts", "vocabulary_words", "words"]

_WORDS = (
    "time person year way day thing man world life hand part child eye woman place work week case point government company "
    "number group problem fact customer agent order refund delivery account question answer policy support request"
).split()


@dataclass(frozen=True)
class Call:
    """One generation, as plain data that travels to a peer's process."""

    prompt: str
    max_tokens: int
    schema: dict[str, Any] | None = None
    group: str = ""
    session: str = ""
    stream: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# A verdict per guideline, as Parlant's matching asks for. Strings are bounded, so that every system writes as much.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "applies": {"type": "boolean"},
        "rationale": {"type": "string", "maxLength": 80},
        "checks": {
            "type": "array",
            "minItems": 3,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "guideline_id": {"type": "string", "minLength": 4, "maxLength": 4},
                    "condition_applies": {"type": "boolean"},
                    "application_rationale": {"type": "string", "maxLength": 40},
                    "score": {"type": "integer", "minimum": 0, "maximum": 10},
                },
                "required": ["guideline_id", "condition_applies", "application_rationale", "score"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["applies", "rationale", "checks"],
    "additionalProperties": False,
}


def vocabulary_words() -> list[str]:
    """Every word that occurs in any text."""
    return sorted(set(_WORDS))


def words(seed: int, count: int) -> str:
    source = random.Random(seed)
    return " ".join(source.choice(_WORDS) for _ in range(count))


def crowd(round_number: int, *, shared: int, own: int, size: int = 8) -> list[Call]:
    """W: calls at once that share a long prefix of ``shared`` words; a second round keeps it and brings new own parts."""
    prefix = words(1, shared)
    return [
        Call(f"{prefix} {words(1000 * round_number + index, own)}\n", 400, SCHEMA, group="crowd")
        for index in range(size)
    ]


def chat_stream() -> Call:
    """C: one plain answer of 256 tokens."""
    return Call(words(5, 200) + "\n", 256, stream=True)


def texts(count: int = 256) -> list[str]:
    """E: short texts to embed."""
    return [words(index, 5 + index % 20) for index in range(count)]
