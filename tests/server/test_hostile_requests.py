"""Hostile heads, framings and manners at a running server; and, as evidence, every kind of hostile request with thousands of
siblings: what each gets, how long it takes, what it costs, and how long /health is silent meanwhile."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.eventually import wait_until
from tests.support.evidence import machine, table
from tests.support.health_watch import Seen, Watch
from tests.support.hostile_connections import Address, HostileConnection, connections, mutated
from tests.support.hostile_requests import CHAT, HostileRequest, code_of, generated, kinds
from tests.support.hostile_schemas import HOSTILE_GRAMMARS, HOSTILE_KINDS

from .conftest import TINY, Server

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "hostile-requests.md"
COMMAND = "pytest -m evidence tests/server/test_hostile_requests.py"
IMPATIENT = {
    "PARLANT_LOCAL_SERVER__HEADER_SECONDS": "2",
    "PARLANT_LOCAL_SERVER__BODY_SECONDS": "2",
    "PARLANT_LOCAL_SERVER__IDLE_SECONDS": "2",
    "PARLANT_LOCAL_SERVER__WRITE_SECONDS": "2",
}
MIB = 1 << 20
GROWTH = 256 * MIB
ENDINGS = {"closed", "reset", "left", "cut off", "waits", "left 1,000 times", "200 of 200 answers", "50 of 50 answers",
           "1100 held", "the last one: closed", "the last one: reset", "the last one: 503"}  # fmt: skip
STATUSES = {"100", "200", "400", "401", "403", "404", "405", "408", "413", "422", "431", "501"}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("target"), "--model", TINY, environment=IMPATIENT)
    _until_ready(found)
    yield found
    assert found.stop() == 0
    assert "Traceback" not in found.raw
    assert '"level": "error"' not in found.raw, [line for line in found.log if line["level"] == "error"][:3]


def _until_ready(server: Server) -> None:
    wait_until(lambda: httpx2.get(f"{server.url}/health", timeout=30).status_code == 200)


def _address(server: Server) -> Address:
    parts = urlsplit(server.url)
    return str(parts.hostname), int(parts.port or 0)


@pytest.fixture(scope="module")
def watch(target: Server) -> Iterator[Watch]:
    with Watch(target.url, target.process.pid) as found:
        yield found


@pytest.mark.parametrize("kind", [each for each in connections() if not each.slow], ids=lambda kind: kind.name)
def test_no_connection_harms_another(kind: HostileConnection, target: Server, watch: Watch) -> None:
    before = psutil.Process(target.process.pid).memory_info().rss
    watch.look()
    told = kind.run(_address(target))
    seen = watch.look()
    assert told in ENDINGS | STATUSES
    assert seen.failed == 0
    assert seen.peak - before < GROWTH


def test_no_change_of_bytes_harms_anybody(target: Server, watch: Watch) -> None:
    watch.look()
    for kind in mutated(120, seed=11):
        told = kind.run(_address(target))
        assert told in ENDINGS | STATUSES, (kind.name, told)
    seen = watch.look()
    assert seen.failed == 0


# -- evidence ---------------------------------------------------------------------------------------------------------


@dataclass
class _Row:
    """What the requests of one kind did."""

    told: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    growth: int = 0
    silence: float = 0.0
    failed: int = 0

    def add(self, told: str, seconds: float, growth: int, seen: Seen) -> None:
        self.told[told] += 1
        self.times.append(seconds)
        self.growth, self.silence = max(self.growth, growth), max(self.silence, seen.silence)
        self.failed += seen.failed

    def cells(self, name: str, *, many: bool) -> list[object]:
        told = ", ".join(f"{what} ({count}×)" if many else what for what, count in self.told.most_common(5))
        took = f"{1000 * sorted(self.times)[len(self.times) // 2]:.0f}"
        longest = [f"{1000 * max(self.times):.0f}"] if many else []
        count = [len(self.times)] if many else []
        shown = name.replace("|", "\\|").replace("\n", " ").encode("ascii", "backslashreplace").decode()
        shown = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in shown)
        return [shown[:80], *count, told, took, *longest, f"{self.growth / MIB:.0f}", f"{1000 * self.silence:.0f}"]


class _Proof:
    def __init__(self, server: Server, watch: Watch, http: httpx2.Client) -> None:
        self._server, self._watch, self._http = server, watch, http
        self._process = psutil.Process(server.process.pid)

    def connection(self, row: _Row, kind: HostileConnection) -> None:
        self._measure(row, 0, lambda: kind.run(_address(self._server)))

    def request(self, row: _Row, request: HostileRequest) -> None:
        body = request.body
        headers = [(key.encode(), value.encode("latin-1")) for key, value in request.headers.items()]

        def send() -> str:
            answer = self._http.request(request.method, request.path, headers=headers, content=body)
            failed = answer.status_code >= 400 and request.method != "HEAD"
            code = code_of(urlsplit(request.path).path, answer.json()) if failed else ""
            assert answer.status_code < 500 or code in ("upstream_down", "deadline_exceeded"), (
                request.name,
                answer.text,
            )
            return f"{answer.status_code} {code or ''}".strip()

        self._measure(row, len(body), send)

    def _measure(self, row: _Row, size: int, work: Callable[[], str]) -> None:
        before = self._process.memory_info().rss
        self._watch.look()
        began = time.monotonic()
        told = work()
        seconds = time.monotonic() - began
        seen = self._watch.look()
        row.add(told, seconds, max(0, seen.peak - before - size), seen)


def _schemas(rounds: int) -> Iterator[tuple[str, HostileRequest]]:
    """Chats with schemas of every hostile kind, sixty a round; what no request can hold is left out."""
    for number in range(rounds):
        for name, schema in _drawn(number):
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4,
                    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}  # fmt: skip
            if (data := _written(body)) is not None:
                headers = {"content-type": "application/json"}
                yield f"schemas: {name}", HostileRequest(name, "POST", CHAT, headers, lambda d=data: d)


def _drawn(number: int) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    kinds = sorted(HOSTILE_KINDS)

    @seed(number)
    @settings(
        max_examples=60, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(kinds).flatmap(lambda name: st.tuples(st.just(name), HOSTILE_KINDS[name])))
    def gather(pair: tuple[str, Any]) -> None:
        found.append(pair)

    gather()
    return found


def _written(body: Any) -> bytes | None:
    """Some are thousands of levels deep, some would have more characters than there are atoms."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(30_000)
    try:
        return json.dumps(body).encode("utf-8", "surrogatepass") if _size(body, {}) < 9 * MIB else None
    finally:
        sys.setrecursionlimit(before)


def _size(value: Any, known: dict[int, int]) -> int:
    """Characters of the JSON; what stands in several places is looked at once."""
    if not isinstance(value, dict | list):
        return value.bit_length() // 3 + 2 if isinstance(value, int) else len(str(value))
    if id(value) not in known:
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = sum(_size(part, known) + 2 for part in parts)
    return known[id(value)]


def _grammars() -> Iterator[HostileRequest]:
    for grammar in HOSTILE_GRAMMARS:
        data = json.dumps(
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "grammar": grammar}
        ).encode()
        yield HostileRequest("grammars", "POST", CHAT, {"content-type": "application/json"}, lambda d=data: d)


@pytest.mark.evidence
@pytest.mark.timeout(3600)
def test_every_hostile_request_and_three_thousand_siblings(target: Server, watch: Watch) -> None:
    single: dict[str, _Row] = {}
    many: dict[str, _Row] = defaultdict(_Row)
    with httpx2.Client(base_url=target.url, timeout=600) as http:  # honest work for 300,000 tokens takes minutes
        proof = _Proof(target, watch, http)
        for kind in connections():
            proof.connection(single.setdefault(kind.name, _Row()), kind)
        for request in kinds():
            proof.request(single.setdefault(request.name, _Row()), request)
        for request in _grammars():
            proof.request(many["grammars"], request)
        for kind in mutated(1200, seed=1):
            proof.connection(many["heads and framings, changed"], kind)
        for request in generated(1500, seed=1):
            proof.request(many[f"bodies and headers, changed: {request.path}"], request)
        for name, request in _schemas(12):
            proof.request(many[name], request)
        rows = [*single.values(), *many.values()]
        count = sum(len(row.times) for row in rows)
        body = {
            "model": TINY,
            "messages": [{"role": "user", "content": "What is the capital of France?"}],
            "max_tokens": 8,
        }
        last = http.post(CHAT, json=body)
        assert last.status_code == 200
    silences = sorted(row.silence for row in rows)
    _write(single, many, count, silences)
    assert all(row.failed == 0 for row in rows)
    assert not any(row.failed for row in rows)
    assert max(row.growth for row in rows) < GROWTH
    assert count >= 3000 + len(single)


def _write(single: dict[str, _Row], many: dict[str, _Row], count: int, silences: list[float]) -> None:
    head = ["Request", "Answer", "ms", "MiB", "silence, ms"]
    heads = ["Kind", "Requests", "Answers", "ms, median", "ms, longest", "MiB", "silence, ms"]
    PAGE.write_text(
        f"""# Hostile requests, and what each gets

{time.strftime("%Y-%m-%d")}, {machine()}. `{COMMAND}`

{count:,} requests and connections to one server with the shipped model, one after the other, each with its time, the memory that
the process took beyond what it had and beyond the request's own body, and the longest that `/health` took meanwhile (asked by
another process every ten milliseconds). The time-outs of connections are set to two seconds here. The longest silence of all
was {1000 * silences[-1]:.0f} ms, the median {1000 * silences[len(silences) // 2]:.0f} ms; the machine's load average was {os.getloadavg()[2]:.1f}. Afterwards the server answered a
chat and ended with exit code 0; its log has no error.

## Siblings

{table(heads, [row.cells(name, many=True) for name, row in sorted(many.items())])}

## One of each kind

{table(head, [row.cells(name, many=False) for name, row in single.items()])}
""",
        "utf-8",
    )
