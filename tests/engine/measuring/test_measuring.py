"""What `bench --save` found: it holds for that model on this machine, until it is forgotten, and never anywhere else."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.cli.main import cli
from parlant_local.engine import LlamaEngine, native, saved, sizing
from parlant_local.engine.measuring.speed import Workload
from parlant_local.engine.measuring.tuning import tune
from parlant_local.engine.saved import forget_settings, save_settings, saved_file, saved_folder
from parlant_local.errors import BadRequestError
from parlant_local.observability import NullLogger
from parlant_local.settings import EngineSettings, Settings
from tests.engine.conftest import TINY, settings_of

_FOUND = {"unified_kv": False, "flash_attention": "on", "n_batch": 256, "n_ubatch": 192}


class _Listening(NullLogger):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warning(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _save(home: Path, model: Path, **found: Any) -> Path:
    file = saved_file(saved_folder(home), model)
    save_settings(file, found, {"model": model.name})
    return file


async def _layout(model: Path, folder: Path | None, logger: Any = None, **values: Any) -> dict[str, Any]:
    """How an engine was laid out."""
    engine = LlamaEngine(model, settings=settings_of(**values), measured_dir=folder, logger=logger or NullLogger())
    async with engine:
        layout = engine.sizing.layout
        return {
            "unified_kv": layout.unified,
            "flash_attention": engine.effective_settings.flash_attention,
            "n_batch": layout.n_batch,
            "n_ubatch": layout.n_ubatch,
            "n_ctx": layout.n_ctx,
        }


async def test_findings_apply_where_nothing_else_is_set(home: Path, made: Callable[[str], Path]) -> None:
    model = made("llama")
    _save(home, model, **_FOUND)
    found = await _layout(model, saved_folder(home), n_seq_max=2)
    assert {key: found[key] for key in _FOUND} == _FOUND
    chosen = await _layout(model, saved_folder(home), n_seq_max=2, unified_kv=True, n_ubatch=64)
    assert (chosen["unified_kv"], chosen["n_ubatch"], chosen["n_batch"]) == (True, 64, 256)
    bare = await _layout(model, None, n_seq_max=2)  # an engine depends on no folder that nobody named
    assert bare == await _layout(model, home / "nowhere", n_seq_max=2)
    assert bare["n_ubatch"] == 128


async def test_backends_and_commands_use_the_findings_of_their_home(home: Path) -> None:
    _save(home, TINY, n_ubatch=192, n_batch=256)
    async with LlamaCppBackend(TINY, settings=Settings(home=home, engine=settings_of())) as backend:
        assert (await backend.chat("Hello", max_tokens=2)).usage.completion_tokens
        assert backend.engine.sizing.layout.n_ubatch == 192


def test_commands_report_the_findings_in_use_and_can_delete_them(home: Path) -> None:
    file = _save(home, TINY, n_ubatch=192)
    other = saved_folder(home) / f"{file.name.partition('-')[0]}-{'0' * 16}.json"  # by another build
    other.write_text(file.read_text("utf-8"), "utf-8")
    quick = ["bench", str(TINY), "--prompts", "32", "--batches", "1", "--runs", "1", "--tokens", "4", "--json"]
    assert json.loads(_run(quick))["settings"]["n_ubatch"] == 192
    gone = json.loads(_run(["bench", str(TINY), "--forget", "--json"]))["forgotten"]
    assert sorted(gone) == sorted([str(file), str(other)])
    assert not list(saved_folder(home).iterdir())
    assert json.loads(_run(quick))["settings"]["n_ubatch"] != 192
    assert "Nothing was saved" in _run(["bench", str(TINY), "--forget"])
    both = CliRunner().invoke(cli, ["bench", str(TINY), "--forget", "--save"])
    assert isinstance(both.exception, BadRequestError)


def _run(arguments: list[str]) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_findings_of_another_build_machine_or_file_do_not_apply(
    home: Path, made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shutil.copy(made("llama"), tmp_path / "model.gguf")
    _save(home, model, n_ubatch=192)
    folder = saved_folder(home)
    assert (await _layout(model, folder))["n_ubatch"] == 192
    with monkeypatch.context() as patch:
        patch.setattr(saved, "usable_cores", lambda: 61)
        assert (await _layout(model, folder, n_threads_batch=1))["n_ubatch"] == 128
    with monkeypatch.context() as patch:
        patch.setattr(native.library(), "build", dataclasses.replace(native.library().build, version="0.0.1"))
        assert (await _layout(model, folder))["n_ubatch"] == 128
    with monkeypatch.context() as patch:
        patch.setattr(native, "system_info", lambda: "CPU : NOTHING = 1")
        assert (await _layout(model, folder))["n_ubatch"] == 128
    assert (await _layout(model, folder))["n_ubatch"] == 192
    os.utime(model, ns=(1, 1))  # somebody put another file there
    assert (await _layout(model, folder))["n_ubatch"] == 128


@pytest.mark.parametrize(
    "text",
    ["{broken", "[]", '{"settings": []}', '{"settings": {"n_ubatch": "many"}}', '{"settings": {"n_ubatch": 0}}', "{}"],
)
async def test_invalid_findings_cost_a_warning(text: str, home: Path, made: Callable[[str], Path]) -> None:
    file = _save(home, made("llama"), n_ubatch=192)
    file.write_text(text, "utf-8")
    logger = _Listening()
    assert (await _layout(made("llama"), saved_folder(home), logger))["n_ubatch"] == 128
    assert any(str(file) in message for message in logger.said)


async def test_only_what_was_measured_is_taken_from_a_file(home: Path, made: Callable[[str], Path]) -> None:
    _save(home, made("llama"), n_ubatch=192, n_ctx=64, verbose=True)
    found = await _layout(made("llama"), saved_folder(home))
    assert (found["n_ubatch"], found["n_ctx"]) == (192, 2048)


async def test_a_measured_layout_does_not_shorten_the_context(
    home: Path, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was measured with short prompts: where every sequence can't have the whole context, one pool is kept."""
    model = made("slow")
    _save(home, model, unified_kv=False, n_ubatch=64)
    weights = model.stat().st_size
    monkeypatch.setattr(sizing, "available_memory", lambda: weights + 600 * 1024 * 1024)
    pooled = await _layout(model, saved_folder(home), n_ctx=None, n_seq_max=4)
    assert (pooled["unified_kv"], pooled["n_ctx"], pooled["n_ubatch"]) == (True, 16384, 64)
    asked = await _layout(model, saved_folder(home), n_ctx=1024, n_seq_max=4)
    assert (asked["unified_kv"], asked["n_ctx"]) == (False, 1024)
    # Who asks for a split cache by name gets it, with a context that fits.
    split = await _layout(model, None, n_ctx=None, n_seq_max=4, unified_kv=False)
    assert split["unified_kv"] is False
    assert 512 <= split["n_ctx"] < 16384


async def test_tuning_tries_what_is_left_open_and_keeps_what_wins(made: Callable[[str], Path]) -> None:
    crowd = Workload(requests=2, shared=48, own=8, answer=3)
    told = []
    fixed = EngineSettings(n_threads=1, flash_attention="off", n_ubatch=64)
    result = await tune(made("llama"), fixed, workload=crowd, runs=1, logger=NullLogger(), progress=told.append)
    assert tuple(told) == result.trials
    tried = [key for trial in result.trials for key in trial.settings]
    assert {"unified_kv", "n_batch"} <= set(tried)
    assert not {"flash_attention", "n_ubatch"} & set(tried)
    assert all(trial.ratio is not None and trial.ratio > 0 for trial in result.trials)
    assert EngineSettings.model_validate(dict(result.settings))  # whatever won can be loaded
    winners = [trial for trial in result.trials if trial.ratio is not None and trial.ratio < 0.95]
    assert dict(result.settings) == (dict(winners[-1].settings) if winners else {})


async def test_a_setting_that_does_not_run_loses(made: Callable[[str], Path]) -> None:
    """A quantized cache needs flash attention: turning it off is refused, told, and not kept."""
    crowd = Workload(requests=2, shared=48, own=8, answer=3)
    settings = EngineSettings(n_threads=1, kv_type="q8_0", n_batch=256, n_ubatch=64, unified_kv=True)
    result = await tune(made("slow"), settings, workload=crowd, runs=1, logger=NullLogger())
    [off] = [trial for trial in result.trials if trial.settings.get("flash_attention") == "off"]
    assert off.ratio is None
    assert "flash" in off.reason
    assert result.settings.get("flash_attention") != "off"


def test_deleting_missing_findings_is_a_no_op(home: Path) -> None:
    assert forget_settings(saved_folder(home), TINY) == []
