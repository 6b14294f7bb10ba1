"""The examination of one model: all cases, many at once, resumable."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Literal, TypeAlias

from lagom import Container

from parlant_local._version import __version__
from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.errors import ConfigurationError
from parlant_local.evaluation.decisions import decisions
from parlant_local.evaluation.judging import judged
from parlant_local.evaluation.reading import Exercise
from parlant_local.evaluation.records import CaseResult, Ledger, results_folder, slug
from parlant_local.evaluation.retrieval import EverythingIsNear
from parlant_local.evaluation.room import opened
from parlant_local.evaluation.seeding import SeededBackend
from parlant_local.evaluation.tally import CountersByCase, counted
from parlant_local.gguf_info import sha256_file
from parlant_local.nlp.service import LocalNLPService
from parlant_local.settings import Settings
from parlant_local.storage import locked

__all__ = ["CaseFinder", "Examination", "Progress", "examine", "identity_of", "results_folder"]

Alone: TypeAlias = Literal["", "cold", "warm"]
Sit: TypeAlias = Callable[[Exercise, Alone], Awaitable[CaseResult]]
Progress: TypeAlias = Callable[[CaseResult, int, int], None]
"""Called with each result, how many there are now, and how many there will be."""
CaseFinder: TypeAlias = Callable[[str | None], Exercise | None]
"""The case that is sat in a session."""


@dataclass(frozen=True)
class Examination:
    model: ModelInfo
    results: tuple[CaseResult, ...]
    seed: int
    identity: str
    tried: Mapping[str, str] = field(default_factory=dict)
    """Settings that were changed for it."""


async def examine(
    backend: Backend,
    cases: Sequence[Exercise],
    settings: Settings,
    *,
    seed: int = 0,
    fresh: bool = False,
    judge: Backend | None = None,
    progress: Progress | None = None,
    finder: Callable[[CaseFinder], None] | None = None,
    tried: Mapping[str, str] | None = None,
) -> Examination:
    """Runs every case that has no result yet under these conditions; ``fresh`` runs all. Does not close ``backend``.

    ``tried`` names what is special about ``settings``; its results are kept apart.
    ``judge`` answers the questions about replies that cases have for one; without it they are left undecided.
    ``finder`` receives a function from sessions to cases, for stand-ins that have to know what they are asked.
    """
    await backend.load()
    info = backend.model_info()
    identity = await asyncio.to_thread(identity_of, info)
    tried = dict(tried or {})
    path = results_folder(settings.home) / f"{slug(identity)}{_variant(tried)}.jsonl"
    try:
        with locked(path.with_suffix(".lock"), 0):
            ledger = Ledger(path, _conditions(info, identity, seed, settings, judge, tried))
            if not fresh:
                ledger.load()
            ledger.start()
            await _run(backend, cases, settings, seed, ledger, judge, progress, finder)
    except TimeoutError:
        raise ConfigurationError(
            f"{info.id} is being evaluated by another process.", hint="Wait for it, or set another home."
        ) from None
    return Examination(backend.model_info(), tuple(ledger.valid(cases)), seed, identity, tried)


def identity_of(info: ModelInfo) -> str:
    """The digest of a model's file; the id of a model that has none on this machine."""
    if info.path is None:
        return info.id
    return info.digest or sha256_file(info.path)


def _variant(tried: Mapping[str, str]) -> str:
    return f"+{_digest(tried)}" if tried else ""


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _conditions(
    info: ModelInfo, identity: str, seed: int, settings: Settings, judge: Backend | None, tried: Mapping[str, str]
) -> str:
    """What has to be the same for the results of two runs to be of one examination."""
    told = {
        "model": identity,
        "n_ctx": info.n_ctx,
        "template": info.chat_template,
        "seed": seed,
        "parlant_local": __version__,
        "parlant": metadata.version("parlant"),
        "generation": settings.generation.model_dump(mode="json"),
        "judge": None if judge is None else judge.model_info().id,
        "tried": tried,
    }
    return _digest(told)


async def _run(
    backend: Backend,
    cases: Sequence[Exercise],
    settings: Settings,
    seed: int,
    ledger: Ledger,
    judge: Backend | None,
    progress: Progress | None,
    finder: Callable[[CaseFinder], None] | None,
) -> None:
    known = {result.id for result in ledger.valid(cases)}
    left = [case for case in cases if case.id not in known]
    if not left:
        return

    def done(result: CaseResult) -> None:
        ledger.add(result)
        known.add(result.id)
        if progress is not None:
            progress(result, len(known), len(cases))

    async with _sitting(SeededBackend(backend, seed), left, settings, judge, finder) as sit:
        first: list[Exercise] = [] if any(result.alone for result in ledger.results.values()) else _timed(left)
        for case, alone in zip(first, ("cold", "warm"), strict=False):
            done(await sit(case, alone))  # type: ignore[arg-type]  # a literal, through zip
        rest = iter([case for case in left if case not in first])

        async def work() -> None:
            for case in rest:
                done(await sit(case, ""))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(settings.evaluation.at_once):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the others were cancelled, or failed for the same reason


def _timed(cases: Sequence[Exercise]) -> list[Exercise]:
    """Two whole turns with one agent, to be run alone: the first finds nothing cached, the second what both share."""
    for case in cases:
        whole = [each for each in cases if each.file == case.file and each.case.expect.needs_reply]
        if len(whole) > 1:
            return whole[:2]
    return []


@asynccontextmanager
async def _sitting(
    backend: Backend,
    cases: Sequence[Exercise],
    settings: Settings,
    judge: Backend | None,
    finder: Callable[[CaseFinder], None] | None,
) -> AsyncIterator[Sit]:
    counters = CountersByCase()

    def service(container: Container) -> LocalNLPService:
        return LocalNLPService(
            backend, embedding_backend=EverythingIsNear(), settings=settings, container=container, counters=counters
        )

    async with opened(service, cases) as container:
        from parlant_local.evaluation.sitting import Invigilator

        invigilator = Invigilator(container)
        await invigilator.admit(cases)
        if finder is not None:
            finder(invigilator.exercise_of)

        async def sit(case: Exercise, alone: Alone) -> CaseResult:
            with counted() as cost:
                observed = await invigilator.run(case)
            if judge is not None and observed.reply is not None and case.case.expect.judged:
                observed = replace(observed, judged=await judged(judge, case, observed.reply))
            return CaseResult(
                id=case.id,
                digest=case.digest,
                language=case.agent.language,
                level=case.case.level,
                trap=case.case.trap,
                decisions=tuple(decisions(case, observed)),
                cost=cost,
                replied=observed.reply is not None if case.case.expect.needs_reply else None,
                error=observed.error,
                alone=alone,
            )

        yield sit
