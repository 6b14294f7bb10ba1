"""What a session in a REPL sees: short ``repr``s, settings that read their layers, names at the top, the standard logger."""

from __future__ import annotations

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import parlant_local
from parlant_local import (
    ChatReply,
    LlamaCppBackend,
    LlamaService,
    LocalModelManager,
    Message,
    ModelInfo,
    Settings,
    Tool,
    Usage,
)
from parlant_local.backends import EmbedReply
from parlant_local.brief import brief
from parlant_local.errors import SettingsError
from parlant_local.messages import Timings
from parlant_local.observability import ConsoleLogger, NullLogger, with_standard_logging
from parlant_local.settings import EngineSettings, load_settings


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process leave theirs in the environment."""
    for name in [name for name in os.environ if name.startswith("PARLANT_LOCAL_")]:
        monkeypatch.delenv(name)


def test_settings_show_what_differs_from_the_default() -> None:
    assert repr(Settings()) == "Settings()"
    assert repr(Settings(engine=EngineSettings(n_ctx=4096))) == "Settings(engine=EngineSettings(n_ctx=4096))"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (ChatReply("Hello"), "ChatReply(content='Hello')"),
        (
            ChatReply("Hi", usage=Usage(9, 5), timings=Timings(decode=0.0123456789)),
            "ChatReply(content='Hi', usage=Usage(prompt_tokens=9, completion_tokens=5), timings=Timings(decode=0.01235))",
        ),
        (Message.user("Hello"), "Message(role='user', content='Hello')"),
        (Usage(), "Usage()"),
        (ModelInfo("local/x", chat_template="{{ x }}", metadata={"a": "b"}), "ModelInfo(id='local/x')"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_differs_from_the_default_is_shown(
    value: object, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARLANT_LOCAL_HOME", raising=False)
    assert repr(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        ChatReply("long " * 10_000),
        Tool("x", "long " * 10_000, {"properties": {f"p{number}": {"type": "string"} for number in range(500)}}),
        EmbedReply(tuple(tuple([0.123456789] * 1024) for _ in range(500)), 1024, "m"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_fills_the_screen(value: object) -> None:
    assert len(repr(value)) < 1000


def test_what_is_short_is_shown_as_python_would() -> None:
    value = {"a": [1, "b", None]}
    assert ast.literal_eval(brief(value)) == value


def test_a_manager_says_where_its_models_are(tmp_path: Path) -> None:
    assert (
        repr(LocalModelManager(models_dir=tmp_path, logger=NullLogger()))
        == f"LocalModelManager(models_dir='{tmp_path}')"
    )


def test_backends_and_services_say_which_model_is_theirs() -> None:
    backend = LlamaCppBackend("local/llama/parlant-local-tiny", logger=NullLogger())
    assert repr(backend) == "LlamaCppBackend('local/llama/parlant-local-tiny')"
    assert repr(LlamaService(model_id="local/llama/parlant-local-tiny", logger=NullLogger())) == (
        "LlamaService('local/llama/parlant-local-tiny')"
    )
    backend.close_now()


def test_settings_read_environment_and_file_beneath_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.yml"
    path.write_text("engine: {n_ctx: 1024, n_batch: 64, n_seq_max: 3}\n")
    monkeypatch.setenv("PARLANT_LOCAL_CONFIG", str(path))
    monkeypatch.setenv("PARLANT_LOCAL_ENGINE__N_BATCH", "128")
    for settings in (
        Settings(engine=EngineSettings(n_seq_max=5)),
        Settings(**{"engine.n_seq_max": 5}),  # type: ignore[arg-type]  # dotted, as Settings.load takes them
        Settings.load(None, engine={"n_seq_max": 5}),
        load_settings(path, {"engine": {"n_seq_max": 5}}),
    ):
        assert (settings.engine.n_ctx, settings.engine.n_batch, settings.engine.n_seq_max) == (1024, 128, 5)
        assert dict(settings.origins) == {
            "engine.n_ctx": str(path),
            "engine.n_batch": "PARLANT_LOCAL_ENGINE__N_BATCH",
            "engine.n_seq_max": "argument",
        }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"modle": "x"}, "unknown key 'modle' .*did you mean 'model'"),
        ({"engine": {"n_ctx": 3}}, "engine.n_ctx = 3 .*argument.*16"),
        ({"engine": 3}, "engine = 3"),
    ],
)
def test_a_wrong_argument_is_one_typed_error(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings(**given)


def test_all_names_are_importable_from_the_top_and_loaded_late() -> None:
    for name in parlant_local.__all__:
        assert getattr(parlant_local, name) is not None
    heavy = "import sys, parlant_local; print(*(set(sys.modules) & {'numpy', 'llama_cpp', 'parlant', 'pydantic', 'httpx2'}))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


@pytest.fixture
def records() -> Any:
    """The standard library's logger of the package, set up by somebody."""
    told: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record)

    logger, kept = logging.getLogger("parlant_local"), Kept()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield told
    logger.removeHandler(kept)
    logger.setLevel(level)
    logger.propagate = propagate


def test_the_standard_logger_hears_what_the_own_one_hears(records: Any, capsys: pytest.CaptureFixture[str]) -> None:
    own = ConsoleLogger("debug")
    logger = with_standard_logging(own)
    assert with_standard_logging(logger) is logger
    logger.warning("a key: sk-abcdefghijkl %d\x1b[2J")
    logger.debug("more")
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("WARNING", "a key: *** %d\\x1b[2J"),
        ("DEBUG", "more"),
    ]
    assert capsys.readouterr().err.count("\n") == 2


def test_without_a_logger_the_standard_one_is_told_and_else_the_console(
    records: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = with_standard_logging(None)
    logger.warning("one")
    assert ([record.getMessage() for record in records], capsys.readouterr().err) == (["one"], "")
    monkeypatch.setattr(logging.getLogger("parlant_local"), "handlers", [])
    logger.warning("two")
    logger.info("nobody asked")
    assert len(records) == 1
    assert capsys.readouterr().err.endswith("warning two\n")


def test_who_wants_silence_has_it(records: Any) -> None:
    with_standard_logging(NullLogger()).error("x")
    assert records == []


def test_the_hosts_logger_is_heard_once_and_prompts_never(records: Any) -> None:
    from parlant.core.loggers import StdoutLogger
    from parlant.core.tracer import LocalTracer

    from parlant_local.nlp.host import as_host_logger

    logger = as_host_logger(StdoutLogger(LocalTracer()))
    assert as_host_logger(logger) is logger
    assert with_standard_logging(logger) is logger
    logger.trace("what a customer said")
    with logger.scope("a call"):
        logger.warning("slow")
    logger.critical("broken")
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("WARNING", "slow"),
        ("CRITICAL", "broken"),
    ]
