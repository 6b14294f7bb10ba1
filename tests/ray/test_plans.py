"""Which models get replicas, and what replaces them: their file, or a setting that they read."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

import parlant_local.ray
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import SettingsError
from parlant_local.ray.calls import key_of
from parlant_local.ray.plans import IngressPlan, ModelPlan, plan_ingress, plan_models
from parlant_local.settings import Settings
from parlant_local.shipped import shipped_file

TINY = "local/llama/parlant-local-tiny"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(shipped_file(), tmp_path / "own.gguf"))


def settings_of(tmp_path: Path, **given: Any) -> Settings:
    return Settings.load(None, home=tmp_path / "home", **given)


def plans(settings: Settings) -> list[ModelPlan]:
    return plan_models(settings, LocalModelManager(settings=settings))


def both(model: Path, tmp_path: Path, **given: Any) -> tuple[list[ModelPlan], IngressPlan]:
    settings = settings_of(tmp_path, **{"model": TINY, "models": {"own": {"model": str(model)}}, **given})
    found = plans(settings)
    return found, plan_ingress(settings, found)


def test_each_configured_model_has_a_deployment_of_its_own(model: Path, tmp_path: Path) -> None:
    found, ingress = both(model, tmp_path, **{"ray.models": {"own": {"replicas": 3, "num_gpus": 1}}, "ray.num_cpus": 2})
    assert [plan.model for plan in found] == ["own", TINY]
    own, shipped = found
    assert (own.replicas.replicas, own.replicas.num_gpus, own.replicas.num_cpus) == (3, 1, 2)
    assert (shipped.replicas.replicas, shipped.replicas.num_gpus) == (1, 0)
    assert own.digest == shipped.digest, "the same file"
    assert own.deployment != shipped.deployment
    assert own.settings.engine.n_threads == 2
    assert ingress.deployments == {"own": own.deployment, TINY: shipped.deployment}
    assert ingress.settings.model == TINY
    assert {name: served.model for name, served in ingress.settings.models.items()} == {
        "own": "replicas/own",
        TINY: f"replicas/{TINY}",
    }


def test_a_changed_file_replaces_its_own_replicas_alone(model: Path, tmp_path: Path) -> None:
    (own, shipped), ingress = both(model, tmp_path)
    (again, same), unchanged = both(model, tmp_path)
    assert (again.version, same.version) == (own.version, shipped.version)
    assert unchanged.version == ingress.version
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    (changed, untouched), _ = both(model, tmp_path)
    assert changed.digest != own.digest
    assert changed.version != own.version
    assert untouched.version == shipped.version


@pytest.mark.parametrize(
    ("given", "replaced"),
    [
        ({"engine.n_ctx": 1024}, {"own", TINY, "ingress"}),
        ({"models": {"own": {"model": "", "n_ctx": 512}}}, {"own"}),
        ({"limits.messages": 7}, {"ingress"}),
        ({"ray.wait_seconds": 7}, {"ingress"}),
        ({"auth.api_key": "correct-horse-battery"}, {"ingress"}),
        ({"ray.replicas": 4}, set()),  # Ray adds them to those that run
        ({"ray.models": {"own": {"max_replicas": 3}}}, set()),
    ],
)
def test_who_reads_a_setting_is_replaced_for_it(
    model: Path, tmp_path: Path, given: dict[str, Any], replaced: set[str]
) -> None:
    if "models" in given:
        given = {"models": {"own": given["models"]["own"] | {"model": str(model)}}}
    before, after = both(model, tmp_path, **{"ray.num_cpus": 1}), both(model, tmp_path, **{"ray.num_cpus": 1, **given})
    changed = {new.model for old, new in zip(before[0], after[0], strict=True) if old.version != new.version}
    changed |= {"ingress"} if before[1].version != after[1].version else set()
    assert changed == replaced


def test_no_key_travels(model: Path, tmp_path: Path) -> None:
    key = "correct-horse-battery"
    (tmp_path / "keys").write_text(f"someone:{key}-file\n")
    given = {"auth.api_key": key, "auth.admin_key_file": tmp_path / "keys"}
    found, ingress = both(model, tmp_path, **given)
    assert ingress.keys.owner_of(key) is not None
    owner = ingress.keys.owner_of(f"{key}-file")
    assert owner is not None
    assert owner.admin
    assert key.encode() not in pickle.dumps((found, ingress))


def test_without_a_model_there_is_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--model"):
        plans(settings_of(tmp_path))
    with pytest.raises(SettingsError, match=r"ray\.models names other"):
        plans(settings_of(tmp_path, **{"model": TINY, "ray.models": {"other": {"replicas": 2}}}))


def test_contradictions_are_found_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"max_replicas \(2\) is less than replicas \(3\)"):
        settings_of(tmp_path, **{"ray.replicas": 3, "ray.models": {"own": {"max_replicas": 2}}})


def test_a_call_belongs_to_its_schema_and_its_conversation() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "City", "schema": {"type": "object"}}}
    assert key_of("m", {"response_format": form, "session": "s"}) == ("m", "City", "s")
    assert key_of("m", {"response_format": form, "prefix_group": "Guideline"}) == ("m", "Guideline", "")
    assert key_of("m", {"response_format": {"type": "json_object"}}) == ("m", "", "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_documents_program_deploys_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but the cluster, which tests/ray/test_serving.py has."""
    text = (Path(__file__).parents[2] / "docs" / "ray.md").read_text("utf-8")
    program = text.partition("run by tests/ray/test_plans.py -->\n```python\n")[2].partition("```")[0]
    (tmp_path / "config.yml").write_text("models:\n  small: {model: local/llama/parlant-local-tiny}\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    deployed: list[object] = []
    monkeypatch.setattr("ray.serve.run", deployed.append)
    exec(program, {})
    (one,) = deployed
    assert type(one).__name__ == "Application"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_name_stays_what_it_is_however_often_it_is_imported() -> None:
    for name in parlant_local.ray.__all__:
        for _ in range(2):
            assert callable(getattr(parlant_local.ray, name))
