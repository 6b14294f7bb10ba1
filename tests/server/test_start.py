"""What somebody sees who starts the server wrongly: one sentence before it listens, and what to do."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from parlant_local.errors import InvalidModelError, ModelNotFoundError, ParlantLocalError, SettingsError
from parlant_local.server import serve
from parlant_local.settings import load_settings
from tests.support.in_process import InProcess


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ParlantLocalError]:
    """The error with which a server of these settings does not start."""
    for name in ("PARLANT_LOCAL_CONFIG", "CONFIG_PATH", "PARLANT_LOCAL_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(config: str = "", **settings: Any) -> ParlantLocalError:
        (tmp_path / "config.yml").write_text(config)
        wanted = {"home": tmp_path / "home", "server.port": 0} | settings
        with pytest.raises(ParlantLocalError) as caught:
            serve(load_settings(tmp_path / "config.yml", wanted))
        return caught.value

    return run


def test_a_port_in_use(refused: Callable[..., ParlantLocalError]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        error = refused(**{"server.port": port})
    assert isinstance(error, SettingsError)
    assert str(port) in str(error)
    assert "--port" in error.hint


@pytest.mark.parametrize("host", ["nobody.invalid", "192.0.2.1"])
def test_an_address_of_another_machine(refused: Callable[..., ParlantLocalError], tmp_path: Path, host: str) -> None:
    (tmp_path / "keys").write_text("correct-horse-battery-staple\n")
    error = refused(**{"server.host": host, "auth.key_file": tmp_path / "keys"})
    assert isinstance(error, SettingsError)
    assert host in str(error)
    assert "--host" in error.hint


@pytest.mark.parametrize("model", ["nobody", "llama3.2:3b", "nowhere/gpt-4o", "/nowhere/model.gguf"])
def test_a_model_that_is_not_here(refused: Callable[..., ParlantLocalError], model: str) -> None:
    error = refused(model=model)
    assert isinstance(error, ModelNotFoundError)
    assert model in str(error)


def test_a_file_that_is_no_model(refused: Callable[..., ParlantLocalError], tmp_path: Path) -> None:
    (tmp_path / "junk.gguf").write_bytes(bytes(range(256)) * 64)
    assert isinstance(refused(model=str(tmp_path / "junk.gguf")), InvalidModelError)


def test_a_stand_in_that_is_not_here(refused: Callable[..., ParlantLocalError]) -> None:
    error = refused("switcher: {fallbacks: [nobody]}")
    assert isinstance(error, ModelNotFoundError)
    assert "pull nobody" in str(error)


def test_a_place_whose_key_stands_in_the_file(refused: Callable[..., ParlantLocalError]) -> None:
    place = "endpoints: {house: {base_url: 'http://127.0.0.1:9/v1', api_key: sk-secret-in-a-file}}"
    error = refused(f"{place}\nmodel: house/m")
    assert "api_key_env" in str(error)
    assert "sk-secret" not in str(error)


def test_options_for_a_model_that_runs_elsewhere(refused: Callable[..., ParlantLocalError]) -> None:
    place = "endpoints: {house: {base_url: 'http://127.0.0.1:9/v1'}}"
    error = refused(f"{place}\nmodels: {{fast: {{model: house/m, n_ctx: 4096}}}}")
    assert isinstance(error, SettingsError)
    assert "models.fast sets n_ctx" in str(error)


def test_a_key_of_its_own_in_the_file(refused: Callable[..., ParlantLocalError]) -> None:
    error = refused("auth: {api_key: correct-horse-battery-staple}")
    assert isinstance(error, SettingsError)
    assert "key_file" in error.hint
    assert "horse" not in str(error)


def test_a_served_name_may_wait_for_its_model(here: Callable[..., InProcess], tmp_path: Path) -> None:
    config = tmp_path / "served.yml"
    config.write_text("models: {mine: {model: 'llama3.2:3b', preload: true}}\n")
    server = here(config)
    health = httpx2.get(f"{server.url}/health")
    assert (health.status_code, health.json()) == (503, {"status": "failed"})
    asked = httpx2.post(f"{server.url}/v1/completions", json={"model": "mine", "prompt": "x"})
    assert asked.status_code == 404
    assert "pull llama3.2:3b" in asked.json()["error"]["message"]


def test_what_comes_along_is_called_by_its_name(here: Callable[..., InProcess]) -> None:
    server = here()
    warned = [line["message"] for line in server.log if line["level"] == "warning"]
    assert len(warned) == 1
    assert "installation works" in warned[0]
    missed = httpx2.post(f"{server.url}/chat/completions", json={})
    assert missed.status_code == 404
    assert "/v1" in missed.json()["error"]["message"]
