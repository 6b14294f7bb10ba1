"""What a turn did, held against what had to be true: one decision after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from parlant_local.evaluation.checks import same_value, says, shown
from parlant_local.evaluation.format import Call, TextCheck
from parlant_local.evaluation.reading import Exercise

__all__ = ["FAMILIES", "Decision", "Family", "Observed", "decisions"]

Family: TypeAlias = Literal["matching", "tools", "arguments", "journeys", "canned", "replies"]
FAMILIES: tuple[Family, ...] = ("matching", "tools", "arguments", "journeys", "canned", "replies")
"""In the order of a turn."""

Outcome: TypeAlias = Literal["right", "miss", "false_alarm", "wrong", "lost"]
"""miss: it should have happened and did not; false_alarm: the reverse; wrong: it happened, but not so; lost: the turn failed."""


@dataclass(frozen=True)
class Decision:
    family: Family
    about: str
    outcome: Outcome
    wanted: bool
    """Whether something had to happen, or had not to."""
    got: str = ""

    @property
    def right(self) -> bool:
        return self.outcome == "right"


@dataclass(frozen=True)
class Observed:
    """What a turn did."""

    guidelines: frozenset[str] = frozenset()
    journeys: dict[str, str] = field(default_factory=dict)
    """Active journeys, and the step that each is in."""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    reply: str | None = None
    canned: tuple[str, ...] = ()
    judged: Mapping[str, bool] = field(default_factory=dict)
    """What a judge answered about the reply, where one was asked."""
    error: str = ""
    """Why the turn failed."""


def decisions(exercise: Exercise, observed: Observed) -> list[Decision]:
    """Every decision of the case. After a failed turn all of them are lost."""
    found = [
        *_matching(exercise, observed),
        *_tools(exercise, observed),
        *_journeys(exercise, observed),
        *_canned(exercise, observed),
        *_reply(exercise, observed),
    ]
    if observed.error:
        return [Decision(each.family, each.about, "lost", each.wanted, observed.error) for each in found]
    return found


def _matching(exercise: Exercise, observed: Observed) -> Iterator[Decision]:
    expect = exercise.case.expect
    if expect.apply is None:
        return
    for name in exercise.agent.guidelines:
        if name in expect.either:
            continue
        wanted, got = name in expect.apply, name in observed.guidelines
        about = f"{name} {'applies' if wanted else 'does not apply'}"
        yield Decision("matching", about, _outcome(wanted, got), wanted, "applied" if got else "not applied")


def _outcome(wanted: bool, got: bool) -> Outcome:
    return "right" if wanted == got else "miss" if wanted else "false_alarm"


def _tools(exercise: Exercise, observed: Observed) -> Iterator[Decision]:
    """Each expected call is paired with the call of that tool that fits it best; what is left over is a false alarm."""
    expected = exercise.case.expect.calls
    if expected is None:
        return
    left = list(observed.calls)
    for call in expected:
        found = max((made for made in left if made[0] == call.tool), key=lambda made: _fit(call, made[1]), default=None)
        if found is None:
            yield Decision("tools", f"{call.tool} is called", "miss", True, _told_calls(observed))
            continue
        left.remove(found)
        yield Decision("tools", f"{call.tool} is called", "right", True, call.tool)
        yield from _arguments(call, found[1])
    for name, arguments in left:
        again = " again" if name in {call.tool for call in expected} else ""
        yield Decision("tools", f"{name} is not called{again}", "false_alarm", False, _told(name, arguments))
    if not expected and not left:
        yield Decision("tools", "no tool is called", "right", False, "none")


def _fit(call: Call, arguments: dict[str, Any]) -> int:
    return sum(same_value(arguments.get(name), check) for name, check in call.arguments.items())


def _arguments(call: Call, arguments: dict[str, Any]) -> Iterator[Decision]:
    for name, check in call.arguments.items():
        value = arguments.get(name)
        right = same_value(value, check)
        outcome: Outcome = "right" if right else "miss" if value is None else "wrong"
        yield Decision("arguments", f"{call.tool}.{name} is {shown(check)}", outcome, True, repr(value))


def _told_calls(observed: Observed) -> str:
    return ", ".join(_told(*call) for call in observed.calls) or "no call"


def _told(name: str, arguments: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _journeys(exercise: Exercise, observed: Observed) -> Iterator[Decision]:
    for name, step in exercise.case.expect.journey.items():
        got = observed.journeys.get(name)
        if step == got:
            outcome: Outcome = "right"
        else:
            outcome = "miss" if got is None else "false_alarm" if step is None else "wrong"
        about = f"{name} is at {step}" if step else f"{name} is not active"
        yield Decision("journeys", about, outcome, step is not None, got or "not active")


def _canned(exercise: Exercise, observed: Observed) -> Iterator[Decision]:
    wanted = exercise.case.expect.canned
    if not wanted:
        return
    names = [wanted] if isinstance(wanted, str) else wanted
    outcome: Outcome = "miss" if not observed.canned else "right" if set(observed.canned) <= set(names) else "wrong"
    got = ", ".join(observed.canned) or ("none" if observed.reply is None else "a reply that is none of them")
    yield Decision("canned", f"the reply is {' or '.join(names)}", outcome, True, got)


def _reply(exercise: Exercise, observed: Observed) -> Iterator[Decision]:
    """A turn without a reply says nothing that it had to, and can't be credited with what it did not say."""
    expect, reply = exercise.case.expect, observed.reply
    got = "no reply" if reply is None else reply
    for check in expect.says:
        said = reply is not None and says(reply, check)
        yield Decision("replies", f"it says {shown(check)}", "right" if said else "miss", True, got)
    for check in expect.never_says:
        yield Decision("replies", f"it never says {shown(check)}", _unsaid(reply, check), False, got)
    for question, yes in observed.judged.items():
        yield Decision("replies", f"judged: {question}", "right" if yes else "miss", True, got)


def _unsaid(reply: str | None, check: TextCheck) -> Outcome:
    if reply is None:
        return "miss"
    return "false_alarm" if says(reply, check) else "right"
