"""The command of docs/telemetry.md that prints the spans of a turn, and what it printed, in docs/evidence/telemetry.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.evidence import write_section

DOCS = Path(__file__).parents[2] / "docs"
Span = dict[str, Any]
_LEFT_OUT = {"links", "resource", "trace_state"}


def command() -> str:
    text = (DOCS / "telemetry.md").read_text("utf-8").partition("## The spans of one turn\n")[2]
    return text.partition("```sh\n")[2].partition("```")[0]


def spans_in(printed: str) -> Iterator[Span]:
    """As the console exporter prints them, between lines of others."""
    decoder, at = json.JSONDecoder(), 0
    while (at := printed.find("\n{\n", at)) >= 0:
        try:
            span, size = decoder.raw_decode(printed[at + 1 :])
        except ValueError:
            size = 1
        else:
            yield span
        at += size


def turns(spans: list[Span]) -> list[list[Span]]:
    """The spans of each turn, by trace."""
    traces: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        traces[span["context"]["trace_id"]].append(span)
    return [trace for trace in traces.values() if any(span["name"] == "process" for span in trace)]


def tree(trace: list[Span]) -> list[str]:
    children: dict[str | None, list[Span]] = defaultdict(list)
    for span in sorted(trace, key=lambda each: each["start_time"]):
        children[span["parent_id"]].append(span)

    def lines(parent: str | None, depth: int) -> Iterator[str]:
        for span in children[parent]:
            schema = span["attributes"].get("parlant_local.schema", "")
            yield f"{'  ' * depth}{span['name']} {schema}".rstrip()
            yield from lines(span["context"]["span_id"], depth + 1)

    return list(lines(None, 0))


_RUN = "<!-- run by tests/telemetry/test_turn_evidence.py -->"


def report(printed: str) -> str:
    trace = turns(list(spans_in(printed)))[0]
    shown = tree(trace)
    assert len(shown) == len(trace), "every span of the turn is under its root"
    call = next(span for span in trace if "gen_ai.request.model" in span["attributes"])
    short = {name: value for name, value in call.items() if name not in _LEFT_OUT}
    short["context"] = {name: value for name, value in call["context"].items() if name not in _LEFT_OUT}
    text = "\n".join(shown)
    return (
        f"The command of [telemetry.md](../telemetry.md#the-spans-of-one-turn). The first turn's trace, as a tree:\n\n{_RUN}\n```text\n{text}\n```\n\n"
        f"One of its calls, as it is printed (`links` and `resource` left out):\n\n{_RUN}\n```json\n{json.dumps(short, indent=2)}\n```"
    )


@pytest.mark.evidence
def test_a_turn_is_one_trace_with_the_models_calls_under_the_engines_steps(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PARLANT_"))}
    shell = command().replace("parlant-local ", f"{sys.executable} -m parlant_local ")
    done = subprocess.run(
        ["bash", "-c", shell],
        env={**clean, "PARLANT_LOCAL_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    found = turns(list(spans_in(done.stdout)))
    assert len(found) == 3
    for trace in found:
        drafted = [line for line in tree(trace) if "CannedResponseDraftSchema" in line]
        assert drafted
        assert all(line.startswith("    chat ") for line in drafted)  # under message_generation, under process
    write_section(
        DOCS / "evidence" / "telemetry.md",
        "The spans of one turn",
        report(done.stdout),
        command="parlant-local demo --verbose",
    )
