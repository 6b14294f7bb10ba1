"""The example, the schema and the reference say what the settings are."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from parlant_local.errors import SettingsError
from parlant_local.settings import Settings, load_settings
from parlant_local.settings import reference as made

ROOT = Path(__file__).parent.parent.parent
AGAIN = "Stale: run `python -m parlant_local.settings.reference` in the repository's root."


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARLANT_LOCAL_CONFIG", "CONFIG_PATH", "PARLANT_LOCAL_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_kept_in_the_repository_is_up_to_date() -> None:
    assert (ROOT / "config" / "config.example.yml").read_text() == made.example(), AGAIN
    assert (ROOT / "config" / "config.schema.json").read_text() == made.schema(), AGAIN
    assert (ROOT / "docs" / "configuration.md").read_text() == made.reference(), AGAIN


def test_the_example_loads_and_changes_nothing() -> None:
    assert load_settings(ROOT / "config" / "config.example.yml").model_dump() == Settings().model_dump()


@pytest.mark.parametrize("name", ["config.example.yml", "production.example.yml", "librechat/parlant-local.yml"])
def test_the_files_fit_the_schema(name: str) -> None:
    schema = json.loads((ROOT / "config" / "config.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    data = yaml.safe_load((ROOT / "config" / name).read_text())
    jsonschema.validate(data, schema)
    load_settings(ROOT / "config" / name)


def test_the_schema_refuses_what_the_settings_refuse() -> None:
    schema = json.loads((ROOT / "config" / "config.schema.json").read_text())
    for wrong in ({"sever": {}}, {"server": {"port": 70000}}, {"auth": {"api_key": "secret-in-a-file"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.yml").write_text("server: {port: 1000, host: localhost}\nmodels: {mine: {model: x}}\n")
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "one.yml"))
    monkeypatch.setenv("PARLANT_LOCAL_SERVER__PORT", "2000")
    settings = load_settings()
    assert (settings.server.port, settings.server.host, settings.models["mine"].model) == (2000, "localhost", "x")
    assert settings.origin("server.port") == "PARLANT_LOCAL_SERVER__PORT"
    assert load_settings(overrides={"server.port": 3000}).server.port == 3000


def test_unknown_keys_are_errors(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("server: {prot: 1000}\n")
    with pytest.raises(SettingsError, match=r"server\.prot"):
        load_settings(tmp_path / "one.yml")
