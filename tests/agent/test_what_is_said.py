"""What people are told before and while the demonstration runs."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from parlant_local.agent.expectations import expectations, said_before
from parlant_local.agent.host_output import HostOutput
from parlant_local.catalog import LocalModelManager, speed
from parlant_local.settings import Settings
from tests.support.places import TINY

LOG = (
    "\x1b[2m2026-11-26T18:40:46.604537Z\x1b[0m [\x1b[33m\x1b[1mwarning  \x1b[0m] \x1b[1m[<main>][Composer] {}\x1b[0m\n"
)


def test_warnings_pass_once_and_short_and_nothing_else() -> None:
    said: list[str] = []
    output = HostOutput(said.append, skip=lambda message: message.startswith("known"))
    print("   .=*****++++*+=:.\n", file=output)  # type: ignore[arg-type]  # as much of a stream as print needs
    for message in ("Careful!", "Careful!", "known trouble", "Message attempt 0 failed: ['Traceback']", "x" * 5000):
        output.write(LOG.format(message))
    output.write("2026-11-26T18:40:46Z [info     ] [<main>] chatter\n12:00:01 error   ours\nhalf")
    assert said[:2] == ["warning: Careful!", "warning: " + "x" * 400 + " …"]
    assert said[2:] == ["error: ours"]
    assert output.last_problem == "ours"


def test_everything_passes_where_it_is_asked_for() -> None:
    said: list[str] = []
    output = HostOutput(said.append, verbose=True)
    output.write(LOG.format("Careful!") + "chatter\n\n")
    assert said == ["2026-11-26T18:40:46.604537Z [warning  ] [<main>][Composer] Careful!", "chatter"]


def test_parlants_log_is_taken_and_given_back() -> None:
    logger, stream = logging.getLogger("parlant"), io.StringIO()
    level = logger.level
    logger.setLevel(logging.WARNING)  # a Parlant server of another test may have set a higher one
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    said: list[str] = []
    output = HostOutput(said.append)
    try:
        with output.taking_log():
            logger.warning(LOG.format("Careful!").rstrip())
        logger.warning("after")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert said == ["warning: Careful!"]
    assert stream.getvalue() == "after\n"


def known_model(settings: Settings, tmp_path: Path, *, context: int, parameters: int = 8_000_000_000) -> str:
    from parlant_local.catalog.index import ModelIndex

    copy = tmp_path / "model.gguf"
    copy.write_bytes(TINY.read_bytes())
    record = LocalModelManager(settings=settings).find(copy)
    changed = record.having(id="local/qwen/some", context_length=context, parameters=parameters, active_parameters=None)
    ModelIndex(settings.models_path / "index").write(changed)
    return changed.id


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_a_small_context_is_warned_about_before_the_start(settings: Settings, tmp_path: Path) -> None:
    model = known_model(settings, tmp_path, context=8192)
    [line] = expectations(settings, model)
    assert line.startswith("warning: local/qwen/some has a context of 8,192 tokens, ")
    assert "16,384" in line
    repeated = said_before(model, [line])
    assert repeated(f"{model} has a context of 8,192 tokens. Parlant's longest prompts take about 7,800.")
    assert not repeated("A tool failed.")
    limited = settings.model_copy(update={"engine": settings.engine.model_copy(update={"n_ctx": 4096})})
    assert "4,096 tokens, as engine.n_ctx says" in next(expectations(limited, model))


def test_a_large_context_is_not(settings: Settings, tmp_path: Path) -> None:
    assert list(expectations(settings, known_model(settings, tmp_path, context=32_768))) == []
    assert list(expectations(settings, str(TINY))) == []
    assert list(expectations(settings, "openai/gpt-4o")) == []


def test_the_time_to_expect_comes_from_the_machines_measurement(settings: Settings, tmp_path: Path) -> None:
    settings.home.mkdir()
    saved = {"key": speed._key(), "prefill_operations_per_second": 1e12}
    (settings.home / "machine.json").write_text(json.dumps(saved), "utf-8")
    model = known_model(settings, tmp_path, context=32_768)
    [line] = expectations(settings, model)
    assert "about 72 s for the first start, 2 min for the first answer and 32 s for later ones" in line
    assert list(expectations(settings, known_model(settings, tmp_path, context=32_768, parameters=500_000_000))) == []
