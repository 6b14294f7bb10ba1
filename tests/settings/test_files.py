"""Settings files and variables of any content: settings, or one error that names the file and the place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from parlant_local.cli.main import main
from parlant_local.errors import SettingsError
from parlant_local.settings import load_settings
from tests.support.damage import DAMAGES, JSON_VALUES, put

many = hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _bomb(level: str, first: str) -> str:
    """Nine to the power of nine values in a few hundred bytes."""
    names = "abcdefghij"
    lines = [f"a: &a {first}"]
    for name, below in zip(names[1:], names, strict=False):
        lines.append(f"{name}: &{name} {level.format(','.join([f'*{below}'] * 9))}")
    return "\n".join(lines)


YAML = {
    "aliases": (_bomb("[{}]", "[x,x,x,x,x,x,x,x,x]"), "with aliases expanded"),
    "merges": (_bomb("{{<<: [{}]}}", "{x: 1}"), "with aliases expanded"),
    "itself": ("&a [*a]", "contains itself"),
    "deep": ("[" * 50_000, "nested too deeply"),
    "deep block": ("".join("  " * depth + "a:\n" for depth in range(300)), "nested too deeply"),
    "twice": ("model: a\nengine: {n_ctx: 512}\nmodel: b", r"duplicate key 'model' \(line 3, column 1\)"),
    "twice below": ("engine:\n  n_ctx: 512\n  n_ctx: 1024", r"line 3, column 3"),
    "no date": ("model: 2026-13-45", "month must be in"),
    "no timestamp": ("model: !!timestamp x", "not valid YAML"),
    "no number": ("model: !!int x", "invalid literal"),
    "digits": ("engine: {n_ctx: " + "9" * 5000 + "}", "4300 digits"),
    "object": ("model: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    "half a character": ('model: "\\ud800"', "unpaired surrogate"),
    "control": ("a\0b", "special characters are not allowed"),
    "NUL": ('model: "a\\0b"', "contains a NUL"),
    "NUL in a path": ('home: "a\\0b"', "contains a NUL"),
    "no text as key": ("? [a]\n: b", "a key is not a string"),
    "number as key": ("1: 2", "Keys should be strings"),
    "list": ("[1]", "must contain a mapping"),
    "two documents": ("---\na: 1\n---\nb: 2", "single document"),
    "NaN": ("switcher: {deadline_seconds: .nan}", "finite number"),
    "infinite": ("switcher: {deadline_seconds: .inf}", "finite number"),
    "beyond": ("engine: {n_ctx: 99999999999999999999}", "exceeds"),
    "large": ("#" * (2 << 20), "larger than 1,048,576 bytes"),
    "wide": ("model: {" + ", ".join(f"k{at}: {at}" for at in range(9000)) + "}", "valid string"),
}
TOML = {
    "deep": ("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
    "deep tables": (".".join("a" * 3000) + " = 1", "nested too deeply"),
    "digits": ("a = " + "9" * 5000, "4300 digits"),
    "twice": ("model = 'a'\nmodel = 'b'", "overwrite"),
    "NaN": ("[switcher]\ndeadline_seconds = nan", "finite number"),
    "bad": ("=", "line 1, column 1"),
}


@pytest.mark.parametrize(
    ("suffix", "text", "reason"),
    [
        *(pytest.param(".yml", *case, id=f"yaml: {name}") for name, case in YAML.items()),
        *(pytest.param(".toml", *case, id=f"toml: {name}") for name, case in TOML.items()),
    ],
)
def test_a_bad_file_is_named_with_its_fault(suffix: str, text: str, reason: str, tmp_path: Path) -> None:
    path = (tmp_path / "settings").with_suffix(suffix)
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(path))


def test_honest_aliases_and_merges_work(tmp_path: Path) -> None:
    path = tmp_path / "settings.yml"
    path.write_text(
        "endpoints:\n"
        "  one: &shared {base_url: 'http://127.0.0.1:1/v1', api_key_env: KEY}\n"
        "  two: {<<: *shared, base_url: 'http://127.0.0.1:2/v1'}\n"
        "  three: *shared\n"
    )
    found = load_settings(path).endpoints
    assert [found[name].api_key_env for name in ("one", "two", "three")] == ["KEY"] * 3
    assert "127.0.0.1:2" in str(found["two"].base_url)


@pytest.mark.parametrize("suffix", [".yml", ".toml"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage(damage: str, suffix: str, tmp_path: Path) -> None:
    path = (tmp_path / "settings").with_suffix(suffix)
    put(damage, path)
    if damage in ("empty", "null") and suffix == ".yml":
        assert load_settings(path).model is None
        return
    if damage == "empty":
        assert load_settings(path).model is None
        return
    with pytest.raises(SettingsError, match="settings"):
        load_settings(path)


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@many
def test_bytes_of_any_kind(data: bytes, tmp_path: Path) -> None:
    for suffix in (".yml", ".toml"):
        _settings_or_error(lambda path: path.write_bytes(data), (tmp_path / "s").with_suffix(suffix))


@given(
    data=st.dictionaries(
        st.sampled_from(["model", "home", "engine", "switcher", "endpoints", "server", "auth", "models", "limits"]),
        JSON_VALUES | st.dictionaries(st.sampled_from(["n_ctx", "lora", "budget", "host", "a"]), JSON_VALUES),
    )
)
@many
def test_values_of_any_kind(data: object, tmp_path: Path) -> None:
    _settings_or_error(lambda path: path.write_text(json.dumps(data)), tmp_path / "s.yml")


def _settings_or_error(write: Callable[[Path], object], path: Path) -> None:
    write(path)
    told = ""
    try:
        load_settings(path)
    except SettingsError as error:
        told = str(error)
    assert len(told) < 1500


@given(
    name=st.sampled_from(["MODEL", "HOME", "ENGINE", "ENGINE__N_CTX", "ENGINE__N_CTX__X", "ENDPOINTS", "ENGINE__LORA"]),
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
    | st.binary(max_size=20).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))
    | JSON_VALUES.map(json.dumps)
    | st.sampled_from(["[" * 50_000, '{"a":' * 9000, "9" * 5000, "nan", "inf", '{"n_ctx": NaN}']),
)
@many
def test_variables_of_any_content(name: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"PARLANT_LOCAL_{name}", value)
        told = ""
        try:
            load_settings()
        except SettingsError as error:
            told = str(error)
        assert len(told) < 1500


def test_a_key_of_the_wrong_kind_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "s.yml"
    path.write_text("auth: {api_key: [topsecret]}")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert "topsecret" not in str(caught.value)


def test_an_account_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_DATA_HOME", "PARLANT_LOCAL_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    with pytest.raises(SettingsError, match="PARLANT_LOCAL_HOME"):
        load_settings()


@pytest.mark.parametrize(
    "verb",
    [
        ("list",),
        ("show", "x"),
        ("doctor",),
        ("rm", "x"),
        ("verify",),
        ("recommend", "--no-measure"),
        ("pull", "a/b"),
        ("add", "x.gguf"),
        ("chat", "x"),
        ("generate", "x", "hello"),
        ("embed", "x", "hello"),
        ("tokenize", "x", "hello"),
        ("bench", "x"),
        ("serve",),
    ],
    ids=lambda verb: verb[0],
)
def test_every_verb_says_what_is_wrong_with_its_settings(
    verb: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.yml"
    path.write_text("model: a\nmodel: b")
    with pytest.raises(SystemExit) as ended:
        main([*verb, "--config", str(path)])
    assert ended.value.code == 2
    assert f"error: The settings file {path} is not valid YAML" in capsys.readouterr().err


def test_the_home_is_where_the_system_keeps_data_and_an_earlier_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it was in ~/.local/share on every system: there the models are."""
    from parlant_local.settings import tree

    for name in ("XDG_DATA_HOME", "PARLANT_LOCAL_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tree, "EARLIER_HOME", str(tmp_path / "earlier"))
    monkeypatch.setattr(tree, "user_data_dir", lambda *_, **__: str(tmp_path / "Application Support"))
    assert load_settings().home == tmp_path / "Application Support"
    (tmp_path / "earlier").mkdir()
    assert load_settings().home == tmp_path / "earlier"
    (tmp_path / "Application Support").mkdir()
    assert load_settings().home == tmp_path / "Application Support"
