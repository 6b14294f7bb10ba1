"""Models that make pictures: marked wherever models are listed, and never taken for a language model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from parlant_local.backends.choice import choose_local
from parlant_local.catalog import LocalModelManager
from parlant_local.cli.main import cli
from parlant_local.errors import InvalidModelError, ModelNotFoundError
from parlant_local.server.naming import Directory
from parlant_local.settings import Settings
from tests.support.diffusion_models import write_diffusion_model

PICTURES, PART = "local/other/diffusion", "local/other/taesd"


@pytest.fixture
def registered(manager: LocalModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalModelManager:
    monkeypatch.setenv("PARLANT_LOCAL_MODELS_DIR", str(manager.models_dir))

    async def register() -> None:
        await manager.initialize()
        files = write_diffusion_model(tmp_path / "files")
        await manager.register_model(files.diffusion)
        await manager.register_model(files.taesd)

    asyncio.run(register())
    return manager


def test_they_are_marked(registered: LocalModelManager) -> None:
    found = {model.id: (model.makes_pictures, model.for_pictures, model.chats) for model in registered.list_models()}
    assert found[PICTURES] == (True, True, False)
    assert found[PART] == (False, True, False)

    runner = CliRunner()
    listed = runner.invoke(cli, ["list"]).output
    assert "makes pictures" in listed
    assert "part of a model that makes pictures" in " ".join(listed.split())
    shown = runner.invoke(cli, ["show", PICTURES]).output
    assert f'makes pictures: parlant-local image "a red fox" --model {PICTURES}' in shown
    assert "for a picture of 1024 x 1024 pixels" in shown
    assert "chat template" not in shown
    assert "images.models" in runner.invoke(cli, ["show", PART]).output
    data = json.loads(runner.invoke(cli, ["show", PICTURES, "--json"]).output)
    assert data["architecture"] == "flux"
    assert data["memory"]["total"] > data["memory"]["weights"] > 0


def test_they_are_never_chosen(registered: LocalModelManager) -> None:
    assert choose_local(Settings(), registered).model == "local/llama/parlant-local-tiny"


def test_chatting_with_one_says_what_to_do(registered: LocalModelManager) -> None:
    for model in (PICTURES, str(registered.get_model(PICTURES).path)):
        said = CliRunner().invoke(cli, ["generate", model, "Hello"])
        assert isinstance(said.exception, InvalidModelError)
        assert "makes pictures; it neither chats nor embeds" in said.exception.message
        assert "parlant-local image" in said.exception.hint


def test_the_server_does_not_offer_them_for_chat(registered: LocalModelManager) -> None:
    directory = Directory(Settings(), registered)

    assert {PICTURES, PART}.isdisjoint(record.id for record in directory.records())
    for name in (PICTURES, PART):
        with pytest.raises(ModelNotFoundError, match=r"is for making pictures.*/v1/images/generations"):
            directory.look_up(name)
