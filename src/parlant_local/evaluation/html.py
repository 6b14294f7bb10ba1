"""A report as one page: no scripts, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

from parlant_local.evaluation.charts import COLOURS, bars, grouped_bars
from parlant_local.evaluation.comparing import changes
from parlant_local.evaluation.decisions import FAMILIES
from parlant_local.evaluation.records import CaseResult
from parlant_local.evaluation.report import Report
from parlant_local.evaluation.rows import FamilyRows, account_rows, percent
from parlant_local.evaluation.statistics import Share

__all__ = ["page"]

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}h3{font-size:1rem}"
    "table{border-collapse:collapse;margin:.6rem 0}th,td{padding:.25rem .7rem;border-bottom:1px solid #8884;text-align:left}"
    "td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.verdict{font-size:1.1rem;font-weight:600}"
    "svg{max-width:100%;height:auto;font-family:inherit}pre{white-space:pre-wrap;margin:0}"
    "@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}}"
    + "".join(f".s{index}{{color:{colour}}}" for index, colour in enumerate(COLOURS))
)


def page(reports: Sequence[Report]) -> str:
    """The page of one model, or of several side by side."""
    title = "Evaluation of " + ", ".join(report.title for report in reports)
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "".join([*_comparison(reports), *(_model(report) for report in reports)])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def _comparison(reports: Sequence[Report]) -> list[str]:
    if len(reports) < 2:
        return []
    names = [report.title for report in reports]
    groups: dict[str, list[Share | None]] = {
        name: [report.families[name].right if name in report.families else None for report in reports]
        for name in FAMILIES
        if any(name in report.families for report in reports)
    }
    legend = "".join(f'<li class="s{index % len(COLOURS)}">{escape(name)}</li>' for index, name in enumerate(names))
    rows = [
        (report.title, percent(report.score), report.verdict, told)
        for report, told in zip(reports, changes(reports), strict=True)
    ]
    return [
        "<h2>Side by side</h2>",
        _table(("model", "score", "verdict", "against the first of it"), rows),
        f"<ul>{legend}</ul>",
        grouped_bars("Right decisions by family", names, groups),
    ]


def _model(report: Report) -> str:
    rows = FamilyRows.of(report)
    advice = "".join(f"<li>{escape(line)}</li>" for line in report.advice)
    return "".join(
        (
            f"<h2>{escape(report.title)}</h2>",
            f'<p class="verdict">{escape(report.verdict)}</p>',
            f"<p>{escape(_about(report))}</p>",
            f"<h3>What would help</h3><ul>{advice}</ul>" if advice else "",
            "<h3>Decisions</h3>",
            bars("Right decisions by family", {name: row.right for name, row in report.families.items()}),
            _table(rows.heads, rows.lines),
            *(_part(title, shares) for title, shares in _parts(report)),
            "<h3>What it took</h3>",
            _table(("", ""), account_rows(report)),
            _failures(report.failures),
        )
    )


def _about(report: Report) -> str:
    details = [f"score {percent(report.score)}", f"{report.cases.part} of {report.cases.whole} cases wholly right"]
    if report.quantization:
        details.append(report.quantization)
    return f"{', '.join(details)}; seed {report.seed}, {report.made}; {report.identity}."


def _parts(report: Report) -> Sequence[tuple[str, Mapping[str, Share]]]:
    return (("By language", report.languages), ("By level", report.levels), ("By what makes it hard", report.traps))


def _part(title: str, shares: Mapping[str, Share]) -> str:
    return f"<h3>{title}</h3>{bars(title, shares)}" if shares else ""


def _failures(failures: Sequence[CaseResult]) -> str:
    if not failures:
        return ""
    rows = [
        (result.id, decision.family, decision.about, decision.outcome.replace("_", " "), decision.got)
        for result in failures
        for decision in result.decisions
        if not decision.right
    ]
    table = _table(("case", "family", "expected", "outcome", "what happened"), rows)
    return f"<details><summary>{len(rows)} wrong decisions in {len(failures)} cases</summary>{table}</details>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows) + "</table>"


def _cell(text: str) -> str:
    shown = "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    kind = ' class="n"' if shown[:1].isdigit() else ""
    return f"<td{kind}>{escape(shown)}</td>"
