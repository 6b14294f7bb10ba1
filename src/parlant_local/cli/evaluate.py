"""`parlant-local evaluate`: does a model follow an agent's rules?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.evaluating import CaseProgress, compare, show
from parlant_local.cli.options import chat_format, complete_model, make_settings, model_options, open_backend
from parlant_local.cli.printing import emit_json, say, show_text
from parlant_local.cli.trials import parsed_trial, values_of
from parlant_local.errors import BadRequestError, ConfigurationError
from parlant_local.paths import user_path

if TYPE_CHECKING:
    from parlant_local.backends import Backend
    from parlant_local.evaluation.reading import Exercise
    from parlant_local.evaluation.report import Report
    from parlant_local.settings import Settings

__all__ = ["evaluate"]


@click.command()
@click.argument("models", metavar="[MODEL...]", nargs=-1, shell_complete=complete_model)
@click.option("--quick", is_flag=True, help="Only about 25 cases.")
@click.option(
    "--cases", multiple=True, metavar="FILE", help="Cases of your own (YAML) instead of ours. May be repeated."
)
@click.option(
    "--min-accuracy",
    multiple=True,
    metavar="[FAMILY=]SHARE",
    help="Exit with 1 where fewer decisions are right, such as 0.9 or tools=0.95. May be repeated.",
)
@click.option("--junit", metavar="FILE", help="Write the results of each case for a CI system.")
@click.option("--html", metavar="FILE", help="Write the report as one web page.")
@click.option(
    "--try",
    "tries",
    multiple=True,
    metavar="KEY=VALUE...",
    help="Examine each model with these settings as well, and compare. Several of one trial stand in one argument. May be repeated.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of every draw.")
@click.option("--fresh", is_flag=True, help="Repeat cases that have a result already.")
@click.option("--at-once", type=click.IntRange(1, 64), metavar="N", help="Cases that run at once (evaluation.at_once).")
@click.option(
    "--judge", metavar="MODEL", help="A model that answers the questions about replies that cases have for a judge."
)
@click.option("--record", metavar="SESSION", help="Print a session of a Parlant server as a case to edit, and exit.")
@click.option(
    "--agent",
    metavar="AGENT",
    help="The cases are about this agent of a Parlant server, by id or name. Without --cases: print its definitions, and exit.",
)
@click.option(
    "--server",
    metavar="URL",
    default="http://localhost:8800",
    show_default=True,
    help="The server of --record and --agent.",
)
@click.option(
    "--schema", "only_schema", is_flag=True, help="Print the JSON schema of case files, for editors, and exit."
)
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@model_options
def evaluate(
    models: tuple[str, ...],
    quick: bool,
    cases: tuple[str, ...],
    min_accuracy: tuple[str, ...],
    junit: str | None,
    html: str | None,
    tries: tuple[str, ...],
    seed: int,
    fresh: bool,
    at_once: int | None,
    judge: str | None,
    record: str | None,
    agent: str | None,
    server: str,
    only_schema: bool,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Examine models: small agents and conversations in five languages, each with what must be true of the next turn.

    Turns are made by Parlant's own engine. The report says which decisions were right, by family, with one sentence of
    verdict; several MODELs are compared, and with --try the same one under several settings. Results are kept: an interrupted examination goes on, and `list`, `recommend` and
    the switcher's quality policy know them. Without MODEL, the default one is examined.
    """
    if only_schema:
        from parlant_local.evaluation.reading import schema

        emit_json(schema())
        return
    if find_spec("parlant") is None or find_spec("parlant.core") is None:
        raise ConfigurationError("This command needs Parlant.", hint="Install it: pip install 'parlant-local[parlant]'")
    if record is not None or (agent is not None and not cases):
        show_text(asyncio.run(_recorded(server, record, agent)), nl=False)
        return
    from parlant_local.evaluation.reading import exercises, shipped_cases
    from parlant_local.evaluation.room import use_home

    required = _thresholds(min_accuracy)
    template = chat_format(arguments)
    variants = _variants(tries, arguments, at_once)
    use_home(variants[0][1].home / "evaluation" / "parlant")  # before Parlant is imported
    defined = None if agent is None else asyncio.run(_defined(server, agent))
    found = exercises([user_path(file) for file in cases] or shipped_cases(), quick=quick, agent=defined)
    reports: list[Report] = []
    judging = None if judge is None else partial(open_backend, judge, variants[0][1])
    for model, (trial, settings) in product(models or (None,), variants):
        ours = not cases and not trial
        reports.append(_examined(model, template, judging, settings, found, trial, seed=seed, fresh=fresh, ours=ours))
        if not as_json:
            show(reports[-1])
    if len(reports) > 1 and not as_json:
        compare(reports)
    if as_json:
        emit_json([report.as_dict() for report in reports])
    _write(reports, junit, html)
    below = [line for report in reports for line in _below(report, required)]
    for line in below:
        say(line, err=True)
    if below:
        raise click.exceptions.Exit(1)


async def _recorded(server: str, session: str | None, agent: str | None) -> str:
    from parlant_local.evaluation.recording import recorded, recorded_agent

    return await recorded(server, session) if session is not None else await recorded_agent(server, agent or "")


async def _defined(server: str, agent: str) -> Mapping[str, Any]:
    from parlant_local.evaluation.definitions import definitions_of

    return await definitions_of(server, agent)


def _variants(
    tries: Sequence[str], arguments: Mapping[str, Any], at_once: int | None
) -> list[tuple[Mapping[str, str], Settings]]:
    """The settings as they are, and with each trial; all are checked before the first is examined."""
    found: list[tuple[Mapping[str, str], Settings]] = []
    for trial in ({}, *map(parsed_trial, tries)):
        settings = make_settings(dict(arguments), {"evaluation.at_once": at_once, **values_of(trial)})
        found.append((trial, settings))
    return found


def _examined(
    model: str | None,
    template: str | None,
    judge: Callable[[], Backend] | None,
    settings: Settings,
    cases: Sequence[Exercise],
    trial: Mapping[str, str],
    *,
    seed: int,
    fresh: bool,
    ours: bool,
) -> Report:
    """The report on one model; that of our own cases, asked in the model's own form, is remembered."""
    from parlant_local.agent.interruption import until_interrupted
    from parlant_local.evaluation.examining import Examination, examine
    from parlant_local.evaluation.keeping import keep
    from parlant_local.evaluation.report import report_of

    done: list[Examination] = []

    async def work() -> None:
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(open_backend(model, settings, template))
            asked = None if judge is None else await stack.enter_async_context(judge())
            name = " ".join((model or "the default model", *(f"{key}={value}" for key, value in trial.items())))
            progress = stack.enter_context(CaseProgress(name, len(cases)))
            done.append(
                await examine(
                    backend, cases, settings, seed=seed, fresh=fresh, judge=asked, progress=progress, tried=trial
                )
            )

    if asyncio.run(until_interrupted(work())):
        say("Results so far are kept; the same command resumes.", err=True)
        raise click.exceptions.Abort
    report = report_of(done[0], holds=settings.evaluation.holds)
    if ours and template is None:
        keep(settings.home, report)
    return report


def _thresholds(given: Sequence[str]) -> Mapping[str, float]:
    """Family, or "" for all decisions, to the least share."""
    from parlant_local.evaluation.decisions import FAMILIES

    found: dict[str, float] = {}
    for text in given:
        family, _, share = text.rpartition("=")
        try:
            found[family] = float(share)
        except ValueError:
            found[family] = -1.0
        if not 0 <= found[family] <= 1 or (family and family not in FAMILIES):
            raise BadRequestError(
                f"--min-accuracy {text!r} is not a share from 0 to 1, or FAMILY=SHARE.",
                hint=f"Families: {', '.join(FAMILIES)}.",
            )
    return found


def _below(report: Report, required: Mapping[str, float]) -> list[str]:
    lines = []
    for family, least in required.items():
        row = report.families.get(family)  # type: ignore[call-overload]  # any name may be looked up
        right = report.decisions if not family else None if row is None else row.right
        if right is None or right.value is None or right.value < least:
            got = "none were examined" if right is None or right.value is None else f"{right.part} of {right.whole}"
            lines.append(f"{report.title}: {family or 'decisions'} below {least:g}: {got}.")
    return lines


def _write(reports: Sequence[Report], junit: str | None, html: str | None) -> None:
    from parlant_local.evaluation.html import page
    from parlant_local.evaluation.junit import junit as written
    from parlant_local.storage import write_whole

    if junit is not None:
        write_whole(Path(junit), written([(report.title, report.results) for report in reports]))
    if html is not None:
        write_whole(Path(html), page(reports))
