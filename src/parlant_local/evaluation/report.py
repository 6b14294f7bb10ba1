"""What an examination says about a model, in figures."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlant_local.evaluation.decisions import FAMILIES, Decision, Family
from parlant_local.evaluation.examining import Examination
from parlant_local.evaluation.records import CaseResult
from parlant_local.evaluation.statistics import Share, median
from parlant_local.evaluation.verdict import advice, verdict

__all__ = ["Account", "FamilyRow", "Report", "report_of"]


@dataclass(frozen=True)
class FamilyRow:
    right: Share
    misses: int
    false_alarms: int
    wrong: int
    lost: int
    happens: Share
    """Right ones of the decisions where something had to happen."""
    stays_out: Share
    """And of those where nothing had to."""

    @property
    def level(self) -> float:
        """The mean of both kinds: a model that always says no is right about most guidelines, and has matched none."""
        shares = [share.value for share in (self.happens, self.stays_out) if share.value is not None]
        return sum(shares) / len(shares) if shares else 0.0

    def as_dict(self) -> dict[str, Any]:
        rest: dict[str, Any] = {
            "level": self.level,
            "happens": self.happens.as_dict(),
            "stays_out": self.stays_out.as_dict(),
        }
        rest |= {name: getattr(self, name) for name in ("misses", "false_alarms", "wrong", "lost")}
        return self.right.as_dict() | rest


@dataclass(frozen=True)
class Account:
    """What the answers took."""

    calls: int
    valid: Share
    """Calls that ended with a valid answer."""
    retried: int
    rejected: int
    silent: Share
    """Turns without a reply, of those that were to have one."""
    failed_turns: int
    sampled_tokens: int
    completion_tokens: int
    prompt_tokens: int
    cached_tokens: int
    cold_seconds: float | None
    """The first turn after loading, alone."""
    warm_seconds: float | None
    """Another turn with the same agent, alone."""
    busy_seconds: float | None
    """The median turn, several cases at once."""
    memory_bytes: int | None


@dataclass(frozen=True)
class Report:
    model: str
    identity: str
    """Digest of its file, or its id."""
    quantization: str | None
    parameters: int | None
    made: str
    seed: int
    cases: Share
    """Cases with every decision right."""
    decisions: Share
    families: Mapping[Family, FamilyRow]
    languages: Mapping[str, Share]
    """Right decisions, by language."""
    levels: Mapping[str, Share]
    traps: Mapping[str, Share]
    account: Account
    verdict: str
    advice: tuple[str, ...]
    results: tuple[CaseResult, ...] = field(repr=False)
    tried: Mapping[str, str] = field(default_factory=dict)
    """Settings that were changed for it."""

    @property
    def title(self) -> str:
        """The model, and what was changed."""
        told = ", ".join(f"{key}={value}" for key, value in self.tried.items())
        return f"{self.model} with {told}" if told else self.model

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        return tuple(result for result in self.results if not result.passed)

    @property
    def score(self) -> float:
        """The mean level of the families: one with many decisions counts no more than another."""
        return sum(row.level for row in self.families.values()) / len(self.families) if self.families else 0.0

    def as_dict(self) -> dict[str, Any]:
        account = {
            name: value.as_dict() if isinstance(value, Share) else value for name, value in vars(self.account).items()
        }
        return {
            "model": self.model,
            "identity": self.identity,
            "tried": dict(self.tried),
            "quantization": self.quantization,
            "parameters": self.parameters,
            "made": self.made,
            "seed": self.seed,
            "verdict": self.verdict,
            "score": self.score,
            "advice": list(self.advice),
            "cases": self.cases.as_dict(),
            "decisions": self.decisions.as_dict(),
            "families": {name: row.as_dict() for name, row in self.families.items()},
            "languages": {name: share.as_dict() for name, share in self.languages.items()},
            "levels": {name: share.as_dict() for name, share in self.levels.items()},
            "traps": {name: share.as_dict() for name, share in self.traps.items()},
            "account": account,
            "failures": [_told(result) for result in self.failures],
        }


def report_of(examination: Examination, *, holds: float, now: datetime.datetime | None = None) -> Report:
    """``holds``: the share of right decisions from which a family is held."""
    results = examination.results
    families = {name: row for name in FAMILIES if (row := _family(results, name)).right.whole}
    account = _account(examination)
    levels = {name: row.level for name, row in families.items()}
    unsure = [name for name, row in families.items() if row.right.interval[0] < holds]
    info = examination.model
    return Report(
        model=info.id,
        identity=examination.identity,
        quantization=info.quantization,
        parameters=info.parameters,
        made=(now or datetime.datetime.now(datetime.UTC)).isoformat(timespec="seconds"),
        seed=examination.seed,
        cases=Share(sum(result.passed for result in results), len(results)),
        decisions=_right(results),
        families=families,
        languages=_grouped(results, lambda result: result.language),
        levels=_grouped(results, lambda result: result.level),
        traps=_grouped([result for result in results if result.trap], lambda result: result.trap or ""),
        account=account,
        verdict=verdict(levels, holds, unsure),
        advice=tuple(advice(info, levels, account.valid, holds)),
        results=results,
        tried=examination.tried,
    )


def _of(results: Iterable[CaseResult], family: Family) -> list[Decision]:
    return [each for result in results for each in result.decisions if each.family == family]


def _family(results: Sequence[CaseResult], family: Family) -> FamilyRow:
    found = _of(results, family)
    counts = {name: sum(each.outcome == name for each in found) for name in ("miss", "false_alarm", "wrong", "lost")}
    right = Share(sum(each.right for each in found), len(found))
    happens, stays_out = (
        Share(sum(each.right for each in found if each.wanted is kind), sum(each.wanted is kind for each in found))
        for kind in (True, False)
    )
    return FamilyRow(right, counts["miss"], counts["false_alarm"], counts["wrong"], counts["lost"], happens, stays_out)


def _right(results: Iterable[CaseResult]) -> Share:
    found = [each.right for result in results for each in result.decisions]
    return Share(sum(found), len(found))


def _grouped(results: Sequence[CaseResult], key: Callable[[CaseResult], str]) -> dict[str, Share]:
    names = dict.fromkeys(key(result) for result in results)
    return {name: _right(result for result in results if key(result) == name) for name in names}


def _account(examination: Examination) -> Account:
    results = examination.results
    costs = [result.cost for result in results]
    replies = [result.replied for result in results if result.replied is not None]
    calls, failed = sum(cost.calls for cost in costs), sum(cost.failed for cost in costs)
    return Account(
        calls=calls,
        valid=Share(calls - failed, calls),
        retried=sum(cost.retried for cost in costs),
        rejected=sum(cost.rejected for cost in costs),
        silent=Share(sum(not replied for replied in replies), len(replies)),
        failed_turns=sum(bool(result.error) for result in results),
        sampled_tokens=sum(cost.sampled_tokens for cost in costs),
        completion_tokens=sum(cost.completion_tokens for cost in costs),
        prompt_tokens=sum(cost.prompt_tokens for cost in costs),
        cached_tokens=sum(cost.cached_tokens for cost in costs),
        cold_seconds=median(result.cost.seconds for result in results if result.alone == "cold"),
        warm_seconds=median(result.cost.seconds for result in results if result.alone == "warm"),
        busy_seconds=median(result.cost.seconds for result in results if not result.alone),
        memory_bytes=examination.model.memory_bytes,
    )


def _told(result: CaseResult) -> dict[str, Any]:
    wrong = [each for each in result.decisions if not each.right]
    return {
        "id": result.id,
        "level": result.level,
        "trap": result.trap,
        "error": result.error,
        "wrong": [{"family": d.family, "about": d.about, "outcome": d.outcome, "got": d.got} for d in wrong],
    }
