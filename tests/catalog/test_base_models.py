"""Base models: marked wherever models are listed, and never chosen while a tuned one is here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from parlant_local.backends.choice import choose_local
from parlant_local.catalog import LocalModelManager
from parlant_local.cli.main import cli
from parlant_local.settings import Settings
from parlant_local.switching.choice import choose_model
from tests.support import gguf_models

BASE, TUNED = "local/llama/huge-7b", "local/llama/small-1b-instruct"


@pytest.fixture
def both(manager: LocalModelManager, tmp_path: Path) -> LocalModelManager:
    """A base model, and a smaller one that was taught to chat."""

    async def register() -> None:
        await manager.initialize()
        await manager.register_model(gguf_models.llama(tmp_path / "Huge-7B.gguf", width=128, template=None))
        await manager.register_model(gguf_models.llama(tmp_path / "Small-1B-Instruct.gguf"))

    asyncio.run(register())
    return manager


def test_a_base_model_is_marked(both: LocalModelManager) -> None:
    assert {model.id: model.is_base for model in both.list_models() if not model.shipped} == {BASE: True, TUNED: False}
    assert both.get_model(BASE).as_dict()["base"] is True
    again = LocalModelManager(settings=both.settings, models_dir=both.models_dir)
    assert again.get_model(BASE).is_base


def test_a_record_of_an_older_version_is_told_by_its_name(both: LocalModelManager) -> None:
    """It says nothing of the matter."""
    record = both.get_model(BASE)
    assert record.having(base=None).is_base
    assert not both.get_model(TUNED).having(base=None).is_base
    assert not record.having(base=None, name="huge-7b-instruct").is_base


async def test_nothing_chooses_a_base_model_while_a_tuned_one_is_here(both: LocalModelManager) -> None:
    assert choose_local(Settings(home=both.settings.home), both).model == TUNED
    assert choose_model(Settings(home=both.settings.home), both).model == TUNED
    await both.delete_model(TUNED)
    shipped = "local/llama/parlant-local-tiny"
    assert choose_local(Settings(home=both.settings.home), both).model == shipped
    assert choose_model(Settings(home=both.settings.home), both).model == shipped


def test_the_command_line_marks_it(both: LocalModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_MODELS_DIR", str(both.models_dir))
    runner = CliRunner()
    listed = runner.invoke(cli, ["list"]).output
    (line,) = [line for line in listed.splitlines() if line.startswith(BASE)]
    assert line.endswith("available, base")
    assert {item["id"]: item["base"] for item in json.loads(runner.invoke(cli, ["list", "--json"]).output)}[BASE]
    assert "base model: not trained to chat" in runner.invoke(cli, ["show", BASE]).output
    assert "base model: not trained" not in runner.invoke(cli, ["show", TUNED]).output
    assert "tool calls" in runner.invoke(cli, ["show", TUNED]).output
