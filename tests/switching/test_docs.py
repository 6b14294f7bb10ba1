"""What docs/switching.md shows is what the package takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from parlant_local.nlp import ModelSwitcher
from parlant_local.observability import NullLogger
from parlant_local.settings import Settings
from parlant_local.switching import POLICIES
from tests.support.gguf_models import llama, qwen2

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "switching.md").read_text("utf-8")
RECIPES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda text: str(yaml.safe_load(text)["model"]))
async def test_every_recipe_makes_a_switcher(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_KEY", "sk-test")
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-test")
    path = tmp_path / "settings.yaml"
    path.write_text(recipe)
    settings = Settings.load(path, home=tmp_path)
    from parlant_local.catalog import LocalModelManager

    manager = LocalModelManager(settings=settings)
    await manager.register_model(llama(tmp_path / "llama-3.2-3b-instruct-q4_k_m.gguf"), model_type="llama")
    await manager.register_model(qwen2(tmp_path / "qwen3-8b-q4_k_m.gguf"), model_type="qwen")
    service = ModelSwitcher(settings=settings, model_manager=manager, logger=NullLogger())
    assert service.model == settings.model
    assert [target.id for target in service._routed.targets][1:] == list(settings.switcher.fallbacks)
    for target in service._routed.targets:
        target.open()  # its key is found, its address is one
    await service.close()


def test_there_is_a_recipe_for_each_need() -> None:
    assert len(RECIPES) == 7


def test_every_policy_is_explained() -> None:
    assert all(f"| `{name}`" in PAGE for name in POLICIES)
