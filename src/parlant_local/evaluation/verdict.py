"""One sentence about a model, by a rule that is stated; and what would help it.

The rule: a family of decisions is *held* from the level that ``evaluation.holds`` says (0.9), *lost* below; a family that is
lost is named with how often. A family's level is the mean of how often it is right where something had to happen and where
nothing had to. Where everything is held, but by so few cases that the interval reaches below, that is said as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from parlant_local.backends.base import ModelInfo
from parlant_local.evaluation.decisions import Family
from parlant_local.evaluation.statistics import Share

__all__ = ["advice", "verdict"]

_NAMES: Mapping[Family, str] = {
    "matching": "guidelines",
    "tools": "tool calls",
    "arguments": "tool arguments",
    "journeys": "journey steps",
    "canned": "canned responses",
    "replies": "what replies must say",
}
_WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_HOPELESS = 0.6
_VALID = 0.98
_SMALL_QUANTIZATION_BITS = 4
_SMALL_MODEL = 3e9


def verdict(levels: Mapping[Family, float], holds: float, unsure: Collection[Family] = ()) -> str:
    """``unsure``: families of which there were too few cases to be sure that they are held."""
    if not levels:
        return "Nothing was examined."
    held = [name for name, level in levels.items() if level >= holds]
    lost = sorted((name for name in levels if name not in held), key=lambda name: levels[name])
    if not lost:
        close = [name for name in held if name in unsure]
        told = f"Holds all that was examined: {_listed(held)}"
        return f"{told}; more cases would have to confirm {_listed(close)}." if close else f"{told}."
    told = ", ".join(f"{_NAMES[name]} {_often(levels[name])}" for name in lost)
    if all(level < _HOPELESS for level in levels.values()):
        return f"Not fit for an agent: loses {told}."
    return f"Holds {_listed(held)}; loses {told}." if held else f"Holds nothing for sure; loses {told}."


def _listed(names: list[Family]) -> str:
    told = [_NAMES[name] for name in names]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def _often(level: float) -> str:
    """As in "one of five": the nearest such figure."""
    lost = 1 - level
    if lost > 0.9:
        return "nearly always"
    if lost > 0.55:
        return f"in {_WORDS[round(10 * lost)]} of ten"
    every = round(1 / lost)
    return f"in one of {_WORDS[every] if every < len(_WORDS) else every}"


def advice(info: ModelInfo, levels: Mapping[Family, float], valid: Share, holds: float) -> Iterator[str]:
    """What is worth a try, the likeliest first; nothing where everything is held."""
    lost = [name for name, level in levels.items() if level < holds]
    if not lost and _value_or_one(valid) >= _VALID:
        return
    bits = _bits(info.quantization)
    if bits is not None and bits < _SMALL_QUANTIZATION_BITS:
        yield f"A larger quantization: {info.quantization} stores {bits} bits per weight; Q4_K_M is the smallest that is usually as good as the original."
    if "reasoning" in info.capabilities and {"matching", "tools", "journeys"} & set(lost):
        yield "Thoughts before the answer (generation.reasoning): the model can think, and decisions are what it loses."
    if info.parameters is not None and info.parameters < _SMALL_MODEL and lost:
        yield f"A larger model: {_count(info.parameters)} parameters are few for these decisions; `parlant-local recommend` names those that fit."
    if _value_or_one(valid) < _VALID:
        yield "A longer answer (generation.max_tokens): answers were cut or invalid."
    if info.n_ctx is not None and info.n_ctx < 8_192:
        yield f"A longer context (engine.n_ctx, now {info.n_ctx:,}): Parlant's prompts take up to 9,000 tokens, and where they don't fit their examples are left out."
    if lost == ["replies"] or lost == ["canned"]:
        yield "Another family of models: the decisions are right, and only the wording is not."


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} billion" if parameters >= 1e8 else f"{parameters / 1e6:.1f} million"


def _value_or_one(share: Share) -> float:
    return 1.0 if share.value is None else share.value


def _bits(quantization: str | None) -> int | None:
    """Of names such as Q4_K_M, IQ2_XS, F16."""
    digits = "".join(character for character in (quantization or "").upper().lstrip("IQBFT")[:2] if character.isdigit())
    return int(digits) if digits else None
