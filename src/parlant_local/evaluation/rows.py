"""A report's tables as texts, for terminals and pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parlant_local.evaluation.report import Report
from parlant_local.evaluation.statistics import Share

__all__ = ["FamilyRows", "account_rows", "interval", "percent"]


@dataclass(frozen=True)
class FamilyRows:
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]

    @classmethod
    def of(cls, report: Report) -> FamilyRows:
        heads = ("family", "level", "right", "95 % interval", "decisions", "misses", "false alarms", "wrong", "lost")
        lines = [
            (
                name,
                percent(row.level),
                percent(row.right.value),
                interval(row.right),
                str(row.right.whole),
                str(row.misses),
                str(row.false_alarms),
                str(row.wrong),
                str(row.lost),
            )
            for name, row in report.families.items()
        ]
        return cls(heads, lines)


def account_rows(report: Report) -> list[tuple[str, str]]:
    account = report.account
    memory = "unknown" if account.memory_bytes is None else f"{account.memory_bytes / (1 << 20):,.0f} MiB"
    return [
        ("cases wholly right", f"{report.cases.part} of {report.cases.whole}"),
        ("calls with a valid answer", f"{account.valid.part} of {account.valid.whole}"),
        ("answers asked for again", f"{account.retried} here, {account.rejected} by Parlant"),
        ("turns that failed", str(account.failed_turns)),
        ("silent turns", f"{account.silent.part} of {account.silent.whole}"),
        ("sampled tokens", f"{account.sampled_tokens:,} of {account.completion_tokens:,} answered"),
        ("prompt tokens", f"{account.prompt_tokens:,}, {account.cached_tokens:,} of them cached"),
        ("a first turn, alone", seconds(account.cold_seconds)),
        ("a later turn, alone", seconds(account.warm_seconds)),
        ("the median turn, several at once", seconds(account.busy_seconds)),
        ("memory", memory),
    ]


def seconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1f} s"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def interval(share: Share) -> str:
    low, high = share.interval
    return f"{100 * low:.0f} to {100 * high:.0f} %"
