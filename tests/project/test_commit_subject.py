"""The rule for subjects of commits, as the hook has it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

HOOK = Path(__file__).resolve().parents[2] / ".ci" / "commit_subject.py"


@pytest.fixture(scope="module")
def complaint() -> Callable[[str], str | None]:
    found: Callable[[str], str | None] = runpy.run_path(str(HOOK))["complaint"]
    return found


@pytest.mark.parametrize(
    "subject",
    [
        "Switching: an attempt is a context of its own, not a generator",
        "Engine, templates: a forked process leaves its parent's helper alone; locks are renewed",
        "gguf_info: tokens that stand there twice are named",
        "docs/server.md: what a key may do",
        "Merge branch 'main'",
        'Revert "Switching: an attempt"',
        "fixup! Switching: an attempt",
    ],
)
def test_taken(complaint: Callable[[str], str | None], subject: str) -> None:
    assert complaint(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Second look",
        "fix",
        "Engine:",
        "Engine: ",
        "Engine: cells are counted.",
        "Engine:cells",
        "Engine: " + "x" * 120,
        "",
    ],
)
def test_refused_with_the_rule(complaint: Callable[[str], str | None], subject: str) -> None:
    assert '"Module: what changed"' in (complaint(subject) or "")
