"""Parlant without its pauses: it waits before it speaks, to seem human, before it tries again, and polls by the second.

No test looks at any of them.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import parlant.sdk
import pytest
from parlant.core.engines.alpha import canned_response_generator, perceived_performance_policy
from parlant.core.nlp import policies

__all__ = ["PROGRAM", "leave_out"]

_DELAYS = ("get_preamble_delay", "get_processing_indicator_delay", "get_follow_up_delay")
_MOST = 0.02


async def _none(*_: Any) -> float:
    return 0.0


async def _sleep(seconds: float, result: Any = None) -> Any:
    return await asyncio.sleep(min(seconds, _MOST), result)


def leave_out(patch: pytest.MonkeyPatch) -> None:
    """What is said, and in which order, stays as it is."""
    for name in _DELAYS:
        patch.setattr(perceived_performance_policy.BasicPerceivedPerformancePolicy, name, _none)
    hurried = SimpleNamespace(**{**vars(asyncio), "sleep": _sleep})
    for module in (parlant.sdk, canned_response_generator, policies):
        patch.setattr(module, "asyncio", hurried)


PROGRAM = """
import parlant_local.agent.home as home
use_home = home.use_home
def hurried(*arguments):
    found = use_home(*arguments)  # Parlant is imported after it only
    import pytest
    from tests.support.host_pauses import leave_out
    leave_out(pytest.MonkeyPatch())
    return found
home.use_home = hurried
from parlant_local.cli.main import main
main()
"""
"""The command, in a process of its own that runs in the repository's root."""
