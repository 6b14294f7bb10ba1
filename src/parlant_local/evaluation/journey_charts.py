"""A journey's steps from the chart that Parlant's API draws of it: the only place where it tells them.

A chart names each state by what the agent does there, says what leads from one to another, and colours those that call a
tool. It has no word for what the customer has to do before a step is complete. A state without a name only parts ways: what
leads through it becomes one way with both conditions.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["steps_of"]

_STATE = re.compile(r'^    state "(.*?)" as (N\d+)$', re.MULTILINE | re.DOTALL)
_WAY = re.compile(
    r"^    (\[\*\]|N\d+) --> (\[\*\]|N\d+)(?:: (.*?))?(?=\n    (?:\[\*\]|N\d+) --> |\nstyle N|\Z)",
    re.MULTILINE | re.DOTALL,
)
_TOOL_STYLE = re.compile(r"^style (N\d+) fill:#ffeeaa", re.MULTILINE)
_CODE = re.compile(r"#(\d+);")
_TOOL = re.compile(r"Use the tool (\S+)")
_EDGE = "[*]"
_WORDS = 4


@dataclass(frozen=True)
class _Way:
    source: str
    target: str
    condition: str


def steps_of(chart: str, tools: Collection[str]) -> dict[str, dict[str, Any]]:
    """Steps by names of their first words, as a file of cases has them, the first one first; none of a chart without states."""
    labels = {state: _text(label) for label, state in _STATE.findall(chart)}
    ways = [_Way(source, target, (condition or "").strip()) for source, target, condition in _WAY.findall(chart)]
    tool_states = set(_TOOL_STYLE.findall(chart))
    begun = [way.target for way in _onwards(_EDGE, ways, labels, frozenset())]
    names = _names({state: labels[state] for state in [*begun, *labels] if state in labels})
    return {
        name: {
            **_deed(labels[state], tools if state in tool_states else ()),
            **_then(_onwards(state, ways, labels, frozenset()), names),
        }
        for state, name in names.items()
    }


def _onwards(state: str, ways: list[_Way], labels: Mapping[str, str], through: frozenset[str]) -> Iterator[_Way]:
    """To states with a name; through those without one, whose conditions are added up."""
    for way in ways:
        if way.source != state or way.target == _EDGE:
            continue
        if way.target in labels:
            yield way
        elif way.target not in through:
            for further in _onwards(way.target, ways, labels, through | {way.target}):
                told = " and ".join(filter(None, (way.condition, further.condition)))
                yield _Way(state, further.target, told)


def _text(label: str) -> str:
    return html.unescape(_CODE.sub(r"&#\1;", label))


def _names(labels: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for state, label in labels.items():
        base = name = "_".join(re.findall(r"\w+", label.casefold())[:_WORDS]) or "step"
        while name in found.values():
            name = f"{base}_{len(found)}"
        found[state] = name
    return found


def _deed(label: str, tools: Collection[str]) -> dict[str, Any]:
    tool = _TOOL.fullmatch(label)
    return {"tool": tool[1]} if tool and tool[1] in tools else {"do": label}


def _then(ways: Iterator[_Way], names: Mapping[str, str]) -> dict[str, Any]:
    found = {names[way.target]: way.condition or None for way in ways}
    if len(found) > 1:  # of several, each needs one
        found = {name: condition or "otherwise" for name, condition in found.items()}
    return {"then": found} if found else {}
