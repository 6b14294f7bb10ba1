"""The simulation of routers in small: deterministic, nothing lost, and true to what was measured of one process."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.routing.measured import EVIDENCE, PHASES, SMALL, compared, fitted, phases
from benchmarks.routing.page import LARGE, checks, scenario, write
from benchmarks.routing.replicas import Budget, Rates, Replica, Running, Store
from benchmarks.routing.routers import ROUTERS
from benchmarks.routing.simulation import Outcome, Scenario, simulate
from benchmarks.routing.turn import Asked, calls_at_once, calls_of

MEASURED = phases((EVIDENCE / "bench.md").read_text("utf-8"))
RATES = fitted(MEASURED)
SMALL_ONE = replace(scenario(RATES, LARGE, replicas=6, sessions=30), agents=3)
PER_SESSION = sum(len(stage) for turn in range(3) for stage in calls_of(0, "s", turn))


def outcome(router: str = "ours", made: Scenario = SMALL_ONE, seed: int = 1) -> Outcome:
    return simulate(made, ROUTERS[router](seed), seed)


def test_a_seed_decides_everything() -> None:
    assert outcome() == outcome()
    assert outcome(seed=2) != outcome()


@pytest.mark.parametrize("router", ROUTERS)
def test_every_conversation_gets_its_replies(router: str) -> None:
    found = outcome(router)
    assert len(found.replies) == 30 * 3
    assert found.calls == 30 * PER_SESSION
    assert found.prompt == sum(a.tokens for turn in range(3) for stage in calls_of(0, "s", turn) for a in stage) * 30
    assert 0 < found.reused < found.prompt
    assert found.work == pytest.approx(sum(found.worked))


def test_replicas_that_die_cost_work_but_no_reply() -> None:
    made = replace(SMALL_ONE, replaced=3, think=SMALL_ONE.think / 8)
    found = outcome(made=made)
    assert len(found.replies) == 30 * 3
    assert found.sent_again > 0
    assert found.work > sum(found.worked), "what the dead had done"


def test_ours_reuses_the_most() -> None:
    rates = {name: outcome(name).hit_rate for name in ROUTERS}
    assert max(rates, key=lambda name: rates[name]) == "ours"
    for other in ("random", "round robin", "two choices"):
        assert rates["ours"] > rates[other] + 0.1, other


def test_one_process_on_paper_reuses_what_was_measured() -> None:
    for measured, simulated in compared(MEASURED, RATES):
        assert simulated.reused == pytest.approx(measured.reused, abs=0.07), measured.name
        assert simulated.prompt == pytest.approx(measured.prompt, rel=0.1), measured.name
        assert simulated.seconds == pytest.approx(measured.seconds, rel=0.2), measured.name
    assert [phase.name for phase in MEASURED] == list(PHASES)


def test_the_page_has_the_comparison_as_it_is_computed_now() -> None:
    assert checks() in (EVIDENCE / "routing.md").read_text("utf-8"), "run python -m benchmarks.routing --measured"


def test_replicas_that_were_measured_stand_beside_simulated_ones(tmp_path: Path) -> None:
    assert "no figures yet" in checks(tmp_path / "ray.md")
    rows = [
        f"| {count} | {router} | 80.{count} % | 1,234 | 90 s | 1.2 |"
        for count, router in ((1, "ours"), (2, "Ray's"), (2, "ours"))
    ]
    (tmp_path / "ray.md").write_text("\n".join(["| replicas | router |", *rows]), "utf-8")
    found = [line.split(" | ") for line in checks(tmp_path / "ray.md").splitlines() if re.match(r"\| \d", line)]
    assert [cells[2] for cells in found] == ["80.1%", "80.2%", "80.2%"]
    one, rays, ours = (float(cells[3].strip(" |%")) for cells in found)
    assert one >= ours > rays, "as it was measured: one has everything, and of two routers ours keeps more together"


def test_what_replicas_were_measured_with() -> None:
    """The first call of five schemas, by name; a conversation's later turns bring another one."""
    first, second = (calls_at_once(0, "s", turn) for turn in (0, 1))
    assert [asked.schema for asked in first[0]] == [
        "CannedResponseDraft", "CannedResponsePreamble", "GenericActionableGuidelineMatches",
        "GenericObservationalGuidelineMatches", "GenericResponseAnalysis",
    ]  # fmt: skip
    assert [asked.schema for asked in second[0]][-1] == "GenericPreviouslyAppliedActionable"


def test_the_command_writes_all_sections(tmp_path: Path) -> None:
    said: list[str] = []
    write(tmp_path / "routing.md", 5, 20, said.append)
    text = (tmp_path / "routing.md").read_text("utf-8")
    published = (EVIDENCE / "routing.md").read_text("utf-8")
    assert [_kind(line) for line in text.splitlines() if line.startswith("## ")] == [
        _kind(line) for line in published.splitlines() if line.startswith("## ")
    ]
    assert len(said) == len(ROUTERS) + 10 + 4, "each router once, five other worlds for two, four weights"


def _kind(heading: str) -> str:
    return "## replicas" if "replicas," in heading else heading


CALL = Asked(0, "Draft", "s", head=100, history=20, own=10, answer=50)


def test_a_store_has_what_the_engine_retains() -> None:
    store = Store(Budget(memory=400, disk=100))
    other = replace(CALL, session="t")
    assert store.take(CALL) == 0
    assert store.take(replace(CALL, history=30)) == 120, "the conversation so far"
    assert store.take(other) == 100, "the head, of another session"
    assert store.take(replace(CALL, agent=1)) == 0, "another agent's head is another one"
    assert store.take(replace(CALL, agent=2)) == 0, "and the first state is evicted"
    assert store.take(CALL) == 100
    store.restart()
    assert store.take(other) == 100, "two sessions had it: it is on disk"


def test_calls_share_a_replica() -> None:
    replica = Replica("r", Store(SMALL), Rates(token=0.01, character=0.0), slots=2)
    one, two, three = (Running(replace(CALL, schema=name), None) for name in "abc")
    replica.add(one, 0.0)
    assert replica.next_end() == pytest.approx(1.3)
    replica.add(two, 0.65)
    assert replica.next_end() == pytest.approx(0.65 + 1.3), "the half that is left takes twice as long"
    replica.add(three, 0.65)
    assert replica.ongoing == 3
    assert replica.finish(1.95) is one
    assert replica.next_end() == pytest.approx(1.95 + 1.3), "the third has begun beside the second"
    assert replica.lost() == [two, three]
    assert replica.worked == pytest.approx(3.9)
