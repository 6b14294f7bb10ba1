"""Plug-ins that are broken: each is told by its package's name, and hurts nobody who does not use it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from parlant_local import LocalModelManager, Settings
from parlant_local.backends import BACKENDS, create_backend
from parlant_local.catalog.references import parse_reference
from parlant_local.catalog.sources import SOURCES
from parlant_local.errors import CatalogError, PluginError
from parlant_local.profiles import families, profile_of
from parlant_local.profiles.families import FAMILY_REGISTRY
from parlant_local.switching import TargetResolver

from .test_extending import command


@pytest.fixture
def settings(broken: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.syspath_prepend(str(broken))
    return Settings.load(None, home=tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("absent", "can't be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("odd", "broken_things:NOT_A_BACKEND, which is not a subclass of"),
        ("clumsy", "failed: KeyError: 'x'"),
    ],
)
def test_a_backend_that_is_named_is_told(settings: Settings, name: str, why: str) -> None:
    with pytest.raises(PluginError) as caught:
        TargetResolver(settings).target(f"{name}/x")
    assert why in str(caught.value)
    assert (caught.value.plugin, caught.value.package) == (name, "broken-things 0.1")
    assert "pip uninstall broken-things" in caught.value.hint


def test_names_of_our_own_are_not_for_taking(settings: Settings) -> None:
    assert create_backend("openai", model="m").model_info().id == "openai/m"
    assert parse_reference("https://x.example/y.gguf").source == "gguf"
    assert profile_of(None, {"general.architecture": "qwen3"}).name == "qwen"
    taken = {error.plugin for error in BACKENDS.problems() if "uses itself" in str(error) or "is none" in str(error)}
    assert taken == {"openai", "local", "Bad Name"}
    assert [error.plugin for error in SOURCES.problems() if "uses itself" in str(error)] == ["https"]


def test_two_packages_with_one_name_are_both_told(
    settings: Settings, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(example))
    with pytest.raises(PluginError, match=r"parlant-local-example 1\.0 and broken-things 0\.1"):
        TargetResolver(settings).target("scripted/x")


async def test_a_source_keeps_to_the_models_folder(settings: Settings, tmp_path: Path) -> None:
    manager = LocalModelManager(settings=settings)
    with pytest.raises(CatalogError, match=r"stolen\.gguf leads outside"):
        await manager.download_model("loose://x")
    assert not list(tmp_path.rglob("stolen*"))
    with pytest.raises(
        PluginError, match=r"source 'clumsy' of the package broken-things 0\.1 failed: ZeroDivisionError"
    ):
        await manager.download_model("clumsy://x")
    with pytest.raises(PluginError, match="no_such_module"):
        await manager.download_model("absent://x")


def test_families_that_are_broken_are_told_once_and_left_out(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "parlant_local"):
        found = families()
        assert families() == found
    assert {"qwen", "generic"} <= {family.name for family in found}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told))
    assert {error.plugin for error in FAMILY_REGISTRY.problems()} == {"absent", "wrong", "qwen"}


def test_everything_else_goes_on_and_doctor_tells(broken: Path, tmp_path: Path) -> None:
    done = command(["generate", "parlant-local-tiny", "Hi", "--max-tokens", "2", "-t", "0"], tmp_path, broken)
    assert done.returncode == 0, done.stderr
    done = command(["generate", "absent/x", "Hi"], tmp_path, broken)
    assert done.returncode == 2
    assert "error: The backend 'absent' of the package broken-things 0.1 can't be loaded" in done.stderr
    done = command(["doctor", "--offline"], tmp_path, broken)
    assert done.returncode == 0
    assert "The family 'wrong' of the package broken-things 0.1" in done.stdout
