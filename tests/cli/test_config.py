"""`parlant-local config`: what is shown, what is written, and what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from parlant_local.settings import Settings
from tests.support.at_home import Verb

COMMENTED = """\
# mine
engine:          # the engine
  n_ctx: 4096    # enough
  'threads_note': 1
"""


def test_a_setting_is_set_shown_and_unset(verb: Verb, home: Path) -> None:
    file = home / "config.yml"
    assert verb("config", "path") == (0, f"{file}\n", "It does not exist; `parlant-local config set` creates it.\n")
    assert verb("config", "set", "engine.n_ctx", "8192") == (0, f"engine.n_ctx is 8192 (in {file}).\n", "")
    assert Settings().engine.n_ctx == 8192
    assert verb("config", "get", "engine.n_ctx")[1] == "8192\n"
    assert f"engine.n_ctx: 8192   (from {file})" in verb("config", "show", "--origins")[1]
    assert json.loads(verb("config", "show", "--json")[1])["engine.n_ctx"] == {"value": 8192, "origin": str(file)}
    assert verb("config", "unset", "engine.n_ctx")[0] == 0
    assert file.read_text("utf-8") == ""
    assert Settings().engine.n_ctx is None


def test_comments_order_and_permissions_stay(verb: Verb, tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(
        COMMENTED.replace("  'threads_note': 1\n", "  n_threads: 2\n") + "log_level: info # quiet\n", "utf-8"
    )
    file.chmod(0o640)
    assert verb("config", "set", "engine.n_ctx", "2048", "--config", str(file))[0] == 0
    assert verb("config", "set", "server.port", "9000", "--config", str(file))[0] == 0
    text = file.read_text("utf-8")
    for kept in ("# mine\n", "# the engine\n", "# enough\n", "log_level: info # quiet\n"):
        assert kept in text
    assert Settings.load(file).engine.n_ctx == 2048
    assert Settings.load(file).server.port == 9000
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_values_are_yaml(verb: Verb) -> None:
    verb("config", "set", "switcher.fallbacks", "[openai/gpt-4o, ollama/qwen3:4b]")
    assert tuple(Settings().switcher.fallbacks) == ("openai/gpt-4o", "ollama/qwen3:4b")
    verb("config", "set", "endpoints.company.base_url", "https://models.example.org/v1")
    assert Settings().endpoints["company"].base_url == "https://models.example.org/v1"
    assert verb("config", "get", "endpoints.company.base_url")[1] == "https://models.example.org/v1\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "engine.n_ct", "1"), "There is no setting 'engine.n_ct'. Did you mean engine.n_ctx?"),
        (("set", "n_ctx", "1"), "Did you mean engine.n_ctx?"),
        (("set", "engine.n_ctx", "many"), "engine.n_ctx = 'many'"),
        (("set", "engine.n_ctx", "3"), "engine.n_ctx = 3"),
        (("set", "engine.n_ctx", "[1"), "is not YAML"),
        (("set", "engine", "3"), "engine = 3"),
        (("set", "auth.api_key", "0123456789abcdef"), "PARLANT_LOCAL_AUTH__API_KEY"),
        (("unset", "engine.n_ctx"), "engine.n_ctx is not set in"),
        (("get", "engine..n_ctx"), "There is no setting"),
        (("set", "log_level", "info", "--config", "settings.toml"), "TOML"),
    ],
)
def test_what_is_not_valid_is_not_written(verb: Verb, home: Path, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = verb("config", *arguments)
    assert code == 2
    assert said in err
    assert not (home / "config.yml").exists()


@pytest.mark.parametrize(
    "text",
    [
        "engine: &e {n_ctx: 4096}\nmodels: {a: {model: x, <<: *e}}\n",
        "engine: [\n",
        "engine: {n_ctx: 1}\n",
        "a: 1\na: 2\n",
    ],
)
def test_a_file_that_can_not_be_changed_stays_as_it_is(verb: Verb, home: Path, text: str) -> None:
    file = home / "config.yml"
    file.write_text(text, "utf-8")
    code, _, err = verb("config", "set", "server.port", "9000")
    assert code == 2, err
    assert file.read_text("utf-8") == text


def test_a_wrong_value_in_the_file_can_be_mended(verb: Verb, home: Path) -> None:
    (home / "config.yml").write_text("engine: {n_ctx: 1}\n", "utf-8")
    assert verb("config", "set", "engine.n_ctx", "4096")[0] == 0
    assert Settings().engine.n_ctx == 4096


def test_secrets_are_not_shown_and_the_environment_is_named(
    verb: Verb, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_AUTH__API_KEY", "0123456789abcdef")
    monkeypatch.setenv("PARLANT_LOCAL_ENGINE__N_CTX", "1024")
    (home / "config.yml").write_text("plugins: {shelf: {token: tops3cret}}\n", "utf-8")
    for arguments in (("show", "--all", "--origins"), ("show", "--json"), ("get", "plugins"), ("get", "auth.api_key")):
        _, out, _ = verb("config", *arguments)
        assert "0123456789abcdef" not in out
        assert "tops3cret" not in out
    code, out, err = verb("config", "set", "engine.n_ctx", "2048")
    assert code == 0
    assert "PARLANT_LOCAL_ENGINE__N_CTX overrides it" in err
    assert "engine.n_ctx is 1024" in out
