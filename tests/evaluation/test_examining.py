"""The examination itself, in Parlant's own engine: whoever knows the key passes, whoever does the opposite fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from parlant_local.errors import AuthenticationError, ConfigurationError
from parlant_local.evaluation.decisions import FAMILIES
from parlant_local.evaluation.examining import Examination, examine, results_folder
from parlant_local.evaluation.reading import Exercise, exercises, shipped_cases
from parlant_local.evaluation.records import CaseResult
from parlant_local.evaluation.report import report_of
from parlant_local.settings import Settings
from parlant_local.storage import locked
from tests.evaluation.files import CASES, case_file
from tests.evaluation.standin import CONTRARY, PERFECT, KeyBackend
from tests.fakes.scripted import ScriptedBackend

QUICK = exercises(shipped_cases(), quick=True)


async def examined(backend: KeyBackend, cases: Sequence[Exercise], settings: Settings, **more: object) -> Examination:
    return await examine(backend, cases, settings, finder=backend.take_finder, **more)  # type: ignore[arg-type]  # keywords


async def test_who_knows_the_key_has_every_decision_right(settings: Settings) -> None:
    """Of all cases: one that the key can't win would be a mistake in the case."""
    cases = exercises(shipped_cases())
    found = await examined(KeyBackend(info=PERFECT), cases, settings)
    wrong = [(each.id, one) for each in found.results for one in each.decisions if not one.right]
    assert wrong == []
    assert [each.id for each in found.results] == [each.id for each in cases]
    report = report_of(found, holds=0.9)
    assert report.score == 1.0
    assert report.verdict.startswith("Holds all that was examined")
    assert set(report.families) == set(FAMILIES)
    assert report.account.valid.value == 1.0
    assert report.account.silent.part == report.account.failed_turns == 0
    assert report.account.cold_seconds is not None
    assert report.account.warm_seconds is not None


async def test_who_does_the_opposite_has_hardly_any_right(settings: Settings) -> None:
    found = await examined(KeyBackend(info=CONTRARY, contrary=True), QUICK, settings)
    report = report_of(found, holds=0.9)
    assert report.decisions.value is not None
    assert report.decisions.value < 0.05
    assert report.verdict.startswith("Not fit for an agent")


async def test_a_false_expectation_fails(settings: Settings, tmp_path: Path) -> None:
    """What the model does right by the true key is wrong by a false one."""
    true = exercises([case_file(tmp_path)])
    false = exercises(
        [case_file(tmp_path, CASES.replace("apply: [price]", "apply: [dogs]").replace("zone: A}}", "zone: B}}"))]
    )
    backend = KeyBackend()
    found = await examine(
        backend, false, settings, finder=lambda find: backend.take_finder(lambda session: _same(find(session), true))
    )
    outcomes = [(one.about, one.outcome) for one in found.results[0].decisions]
    assert ("price does not apply", "false_alarm") in outcomes
    assert ("dogs applies", "miss") in outcomes
    assert ("price_of.zone is 'B'", "wrong") in outcomes


def _same(exercise: Exercise | None, others: Sequence[Exercise]) -> Exercise | None:
    return None if exercise is None else next(each for each in others if each.id == exercise.id)


async def test_a_model_that_fails_loses_its_turns_and_only_those(settings: Settings, tmp_path: Path) -> None:
    backend = KeyBackend()
    backend.answers["GenericActionableGuidelineMatchesSchema"] = lambda asked: "not JSON"
    found = await examined(backend, exercises([case_file(tmp_path)]), settings)
    report = report_of(found, holds=0.9)
    assert report.account.failed_turns == 2
    assert {one.outcome for each in found.results for one in each.decisions} == {"lost"}
    assert report.account.valid.value == 0.0
    assert report.account.retried > 0
    assert all(each.error for each in found.results)


async def test_silence_is_counted(settings: Settings, tmp_path: Path) -> None:
    backend = KeyBackend()
    backend.answers["CannedResponseDraftSchema"] = lambda asked: "not JSON"
    report = report_of(await examined(backend, exercises([case_file(tmp_path)]), settings), holds=0.9)
    assert (report.account.silent.part, report.account.silent.whole) == (1, 1)
    assert report.families["replies"].misses == 1
    assert report.families["matching"].level == 1.0


async def test_a_judge_decides_what_it_is_asked_and_only_where_it_is_named(settings: Settings, tmp_path: Path) -> None:
    text = CASES.replace("says: [free]", "says: [free]\n      judged: ['Is it polite?', 'Does it name a price?']")
    cases = exercises([case_file(tmp_path, text)])
    judge = ScriptedBackend(
        answers={"Judgement": lambda asked: {"reason": "", "answer": "yes" if "polite" in asked.prompt else "no"}}
    )
    without = await examined(KeyBackend(), cases, settings)
    assert [each.about for each in without.results[1].decisions if each.family == "replies"] == ["it says 'free'"]
    found = await examined(KeyBackend(), cases, settings, judge=judge)
    told = {each.about: each.outcome for each in found.results[1].decisions if each.family == "replies"}
    assert told == {
        "it says 'free'": "right",
        "judged: Is it polite?": "right",
        "judged: Does it name a price?": "miss",
    }
    assert all("May my dog come along?" in call.prompt and "free" in call.prompt for call in judge.calls)
    assert len(judge.calls) == 2
    judge.answers["Judgement"] = lambda asked: AuthenticationError("The key is missing.")
    with pytest.raises(AuthenticationError):
        await examined(KeyBackend(), cases, settings, judge=judge, fresh=True)


async def test_it_goes_on_where_it_was_cut_off(settings: Settings) -> None:
    cases = QUICK[:12]
    seen: list[str] = []

    async def cut_off() -> None:
        task = asyncio.current_task()
        assert task is not None

        def stop(result: CaseResult, done: int, total: int) -> None:
            seen.append(result.id)
            if done == 5:
                task.cancel()

        await examined(KeyBackend(), cases, settings, progress=stop)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(cut_off())
    (file,) = results_folder(settings.home).glob("*.jsonl")
    with file.open("a", encoding="utf-8") as stream:
        stream.write('{"id": "cut o')  # as a kill in the middle of a write leaves it
    later: list[str] = []
    found = await examined(KeyBackend(), cases, settings, progress=lambda result, done, total: later.append(result.id))
    assert sorted(seen + later) == sorted(case.id for case in cases)
    assert [each.id for each in found.results] == [case.id for case in cases]
    assert all(each.passed for each in found.results)
    again: list[str] = []
    await examined(KeyBackend(), cases, settings, progress=lambda result, done, total: again.append(result.id))
    assert again == [], "everything has its result"


async def test_results_are_only_reused_where_they_were_made_alike(settings: Settings, tmp_path: Path) -> None:
    async def run(text: str = CASES, under: Settings = settings, **more: object) -> list[str]:
        ran: list[str] = []
        note = lambda result, done, total: ran.append(result.id)  # noqa: E731  # a line of each test
        await examined(KeyBackend(), exercises([case_file(tmp_path, text)]), under, progress=note, **more)
        return ran

    both = ["tickets/asks-the-price", "tickets/asks-about-dogs"]
    assert sorted(await run()) == sorted(both)
    assert await run() == []
    assert await run(CASES.replace("May my dog come along?", "Are dogs allowed?")) == both[1:], "a case that changed"
    assert sorted(await run(fresh=True)) == sorted(both)
    assert sorted(await run(seed=1)) == sorted(both)
    hotter = settings.model_copy(update={"generation": settings.generation.model_copy(update={"temperature": 1.0})})
    assert sorted(await run(under=hotter, seed=1)) == sorted(both)


async def test_results_of_a_trial_are_kept_apart(settings: Settings, tmp_path: Path) -> None:
    cases = exercises([case_file(tmp_path)])

    async def run(**trial: str) -> tuple[list[str], Examination]:
        ran: list[str] = []
        note = lambda result, done, total: ran.append(result.id)  # noqa: E731  # a line of each run
        return ran, await examined(KeyBackend(), cases, settings, progress=note, tried=trial)

    for trial in ({}, {"a": "1"}, {"a": "2"}):
        ran, found = await run(**trial)
        assert (len(ran), dict(found.tried)) == (2, trial)
    for trial in ({"a": "1"}, {}, {"a": "2"}):
        assert (await run(**trial))[0] == [], "each is still there"
    assert report_of(found, holds=0.9).title == f"{PERFECT.id} with a=2"


async def test_levers_change_nothing_for_who_knows_the_key(home: Path) -> None:
    """Other letters, other places for reasons, no examples, another way to decide: the host understands all answers."""
    levers = {"plain_letters": True, "reasons": "none", "examples": False, "boolean_bias": 0, "temperature": 0}
    settings = Settings.load(None, home=home, **{"generation.calls": {"all": levers}})
    backend = KeyBackend()
    found = await examined(backend, QUICK, settings)
    assert [one.about for each in found.results for one in each.decisions if not one.right] == []
    prompts = [call.prompt for call in backend.calls]
    left = [prompt[at - 60 : at + 40] for prompt in prompts for at in [prompt.find("\\u00")] if at >= 0]
    assert left == []
    assert any("\u60a8" in prompt for prompt in prompts), "Chinese stands there as it is"
    assert all(call.params.sampling["temperature"] == 0 for call in backend.calls)


async def test_seeds_are_fixed_and_differ_where_a_prompt_is_repeated(settings: Settings, tmp_path: Path) -> None:
    async def seeds() -> list[tuple[str, int | None]]:
        backend = KeyBackend()
        await examined(backend, exercises([case_file(tmp_path)]), settings, fresh=True)
        return sorted((call.name, call.params.sampling.get("seed")) for call in backend.calls)

    first = await seeds()
    assert first == await seeds()
    assert len({seed for _, seed in first}) == len(first)


async def test_two_at_once_are_told_apart(settings: Settings, tmp_path: Path) -> None:
    (path := results_folder(settings.home) / f"{PERFECT.id.replace('/', '-')}.lock").parent.mkdir(parents=True)
    with locked(path, 0), pytest.raises(ConfigurationError, match="being evaluated by another process"):
        await examined(KeyBackend(), exercises([case_file(tmp_path)]), settings)


async def test_no_more_cases_at_once_than_allowed(settings: Settings) -> None:
    alone = settings.model_copy(update={"evaluation": settings.evaluation.model_copy(update={"at_once": 1})})
    backend = KeyBackend(delay=0.001)
    found = await examined(backend, QUICK[:6], alone)
    sessions = [call.params.session for call in backend.calls]
    order = list(dict.fromkeys(sessions))
    assert sessions == sorted(sessions, key=order.index), "calls of two cases are never mixed"
    assert len(order) == len(found.results)
