"""How the tests themselves are made: no clock decides, and each room of the source has one here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SOURCE = TESTS.parent / "src" / "parlant_local"
CLOCKS = {
    "monotonic",
    "perf_counter",
    "process_time",
    "thread_time",
    "time",
    "monotonic_ns",
    "perf_counter_ns",
    "time_ns",
}
ELSEWHERE = {
    "catalog/sources": "catalog: a fake of each source",
    "catalog/transfer": "catalog: test_faults, test_urls, test_kill",
    "nlp/tightening": "nlp: test_tightening_examples",
    "server/routes": "server, over HTTP",
    "server/shapes": "server, over HTTP",
}
"""Rooms that are tested through the one they belong to."""


def test_no_assertion_asks_a_clock() -> None:
    """Machines differ and are busy; what took long or happened in time is said by counts and events. Hangs are pytest's."""
    found = {
        str(path.relative_to(TESTS)): lines for path in TESTS.rglob("*.py") if (lines := timed(path.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - began < 5",
        "spent = time.perf_counter() - began; assert spent < 5",
        "times.append(time.monotonic() - began); assert max(times) < 5",
        "a = b = time.time(); c = a - 1; assert c",
        "from time import monotonic; assert monotonic() < 5",
    ],
)
def test_an_assertion_that_asks_one_is_seen(line: str) -> None:
    assert timed(f"def test() -> None:\n    {line}\n")


def timed(source: str) -> list[int]:
    """Lines of assertions on what a clock said."""
    found: list[int] = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            told = _told_by_a_clock(function)
            found += [
                node.lineno for node in ast.walk(function) if isinstance(node, ast.Assert) and _asks(node.test, told)
            ]
    return sorted(set(found))


def _told_by_a_clock(function: ast.AST) -> set[str]:
    """Names that hold a time, directly or by way of another."""
    told: set[str] = set()
    while True:
        before = len(told)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _asks(node.value, told):
                told |= {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "append"
                and isinstance(node.func.value, ast.Name)
                and any(_asks(argument, told) for argument in node.args)
            ):
                told.add(node.func.value.id)
        if len(told) == before:
            return told


def _asks(expression: ast.AST, told: set[str]) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in told)
        or (
            isinstance(node, ast.Call)
            and (
                (isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS and _is_module(node.func.value))
                or (isinstance(node.func, ast.Name) and node.func.id in CLOCKS)
            )
        )
        for node in ast.walk(expression)
    )


def _is_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "time"


def test_each_room_of_the_source_has_its_tests() -> None:
    rooms = {str(path.parent.relative_to(SOURCE)) for path in SOURCE.rglob("*.py")} - {"."}
    own = [room for room in rooms if not any(f"{room}/".startswith(f"{elsewhere}/") for elsewhere in ELSEWHERE)]
    missing = [room for room in own if not list((TESTS / room).glob("test_*.py"))]
    assert missing == []
    assert ELSEWHERE.keys() <= rooms, "a room that is no more"


def test_the_slowest_twenty_that_are_named_exist() -> None:
    named = re.findall(r"`(tests/\S+?)::(\w+)`", (TESTS.parent / "docs" / "evidence" / "suite.md").read_text("utf-8"))
    assert len(named) == 20
    assert [name for path, name in named if f"def {name}(" not in (TESTS.parent / path).read_text("utf-8")] == []
