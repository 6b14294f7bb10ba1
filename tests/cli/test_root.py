"""The command's root: groups, other words for verbs, near misses, and examples that run."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from parlant_local.catalog import LocalModelManager, speed
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.references import parse_reference
from parlant_local.cli.examples import EXAMPLES
from parlant_local.cli.main import cli
from tests.support.at_home import Verb
from tests.support.places import COMMAND, TINY
from tests.support.safetensors_models import write_model
from tests.support.sd_server import picture, serving
from tests.support.terminal import Terminal

LONG = ("chat", "run", "agent", "demo", "serve", "ps", "stop", "evaluate")
"""Verbs that talk, serve, need a server or take minutes. Those of the agent are run with its tests."""


def test_help_lists_every_verb_in_a_group(verb: Verb) -> None:
    code, out, _ = verb("--help")
    assert code == 0
    for title in ("Talk:", "Models:", "Serve:", "Measure:", "Make:", "Set up:"):
        assert f"\n{title}\n" in out
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            assert f"\n  {name} " in out
    assert verb("help")[1] == out


def test_every_verb_has_two_or_three_examples(verb: Verb) -> None:
    with click.Context(cli) as context:
        for name in cli.list_commands(context):
            _, out, _ = verb("help", name)
            assert 2 <= len(EXAMPLES[name]) <= 3
            for line in EXAMPLES[name]:
                assert line.startswith(f"parlant-local {name}")
                assert line in out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ls", "list"), ("remove", "rm"), ("info", "show"), ("download", "pull"), ("settings", "config")],
)
def test_other_words_are_understood(verb: Verb, typed: str, meant: str) -> None:
    code, out, _ = verb(typed, "--help")
    assert code == 0
    assert out.startswith(f"Usage: parlant-local {meant} ")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("serach", "Did you mean search?"),
        ("lst", "Did you mean list"),
        ("verfy", "Did you mean verify?"),
        ("delet", "Did you mean rm?"),
        ("qwen3:4b", "parlant-local run qwen3:4b"),
        ("models/my.gguf", "parlant-local run models/my.gguf"),
        ("logs", "logging.file"),
        ("xyzzy", "parlant-local --help"),
    ],
)
def test_unknown_words_suggest_the_nearest(verb: Verb, typed: str, said: str) -> None:
    code, _, err = verb(typed)
    assert code == 2
    assert f"There is no command {typed!r}." in err
    assert said in err


@pytest.fixture
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples name: models that are here, files, and nothing of the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "my-model.gguf").write_bytes(TINY.read_bytes())
    (tmp_path / "report.txt").write_text("The capital of France is Paris. " * 30, "utf-8")
    (tmp_path / "messages.json").write_text('[{"role": "user", "content": "Hello"}]', "utf-8")
    (tmp_path / "messages.jsonl").write_text(
        '[{"role": "user", "content": "Hello, and good morning to you"}]\n' * 4, "utf-8"
    )
    (tmp_path / "city.json").write_text('{"type": "object", "properties": {"city": {"type": "string"}}}', "utf-8")
    (tmp_path / "qwen.gguf").write_bytes(TINY.read_bytes())
    known = LocalModelManager().find(tmp_path / "qwen.gguf")
    references = tuple(str(parse_reference(name)) for name in ("qwen3:4b", "bartowski/Qwen3-4B-GGUF:Q4_K_M"))
    ModelIndex(home / "models" / "index").write(
        known.having(id="local/qwen/qwen3-4b", name="qwen3-4b", references=references)
    )
    measured = {"key": speed._key(), "prefill_operations_per_second": 1e11}
    (home / "machine.json").write_text(json.dumps(measured), "utf-8")
    return tmp_path


@pytest.fixture
def pictures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What makes them, and one that was made before."""
    (folder / "picture-7.png").write_bytes(picture({"prompt": "A lighthouse at night", "width": 64, "height": 64}, 7))
    with serving() as server:
        monkeypatch.setenv("PARLANT_LOCAL_ENDPOINTS__SD__BASE_URL", server.url)
        monkeypatch.setenv("PARLANT_LOCAL_IMAGES__MODEL", "sd")
        yield


@pytest.mark.parametrize("line", [line for name, lines in EXAMPLES.items() if name not in LONG for line in lines])
@pytest.mark.usefixtures("folder")
def test_an_example_runs(verb: Verb, line: str, request: pytest.FixtureRequest) -> None:
    if "rm mine" in line:
        verb("add", "./my-model.gguf", "--name", "mine")
    if "merge parts" in line:
        verb("split", "qwen3:4b", "--tensors", "10", "--name", "parts")
    if "convert" in line:
        write_model(Path("my-model"), "LlamaForCausalLM")
    if "unset" in line:
        verb("config", "set", "engine.n_ctx", "8192")
    if " image " in line:
        request.getfixturevalue("pictures")
    code, out, err = verb(*shlex.split(line)[1:])
    assert code == 0, err
    assert out or err


@pytest.mark.evidence
@pytest.mark.parametrize("line", [*EXAMPLES["chat"], *EXAMPLES["run"]])
def test_an_example_that_talks_runs(folder: Path, home: Path, line: str) -> None:
    (folder / "conversation.json").write_text('[{"role": "user", "content": "Hi"}]', "utf-8")
    terminal = Terminal("-c", line, command="/bin/bash", cwd=folder, environment=shell_environment(home))
    if "'" in line and " run " in line:
        assert terminal.ended() == 0
        return
    terminal.expect(r"/help lists commands.*> $")
    terminal.say("/bye")
    assert terminal.ended() == 0


@pytest.mark.evidence
@pytest.mark.parametrize("serve", EXAMPLES["serve"])
def test_an_example_that_serves_runs(folder: Path, home: Path, serve: str) -> None:
    shell = Terminal("--norc", command="/bin/bash", cwd=folder, environment=shell_environment(home) | {"PS1": "$ "})
    shell.say(f"{serve} 2>serve.log & until grep -q -e 'is loaded' -e 'Serving' serve.log; do sleep 0.2; done; echo up")
    shell.expect("\nup\n")
    for line in EXAMPLES["ps"]:
        shell.say(line)
        shell.expect(r"http://127\.0\.0\.1:80\d\d")
    unload, end = EXAMPLES["stop"]
    shell.say(unload)
    shell.expect("is unloaded" if "--model" in serve else "is not loaded")
    shell.say(end)
    shell.expect("has ended")
    shell.close()


def shell_environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join([str(Path(COMMAND).parent), os.environ["PATH"]])
    return {"PARLANT_LOCAL_HOME": str(home), "PATH": path, "PARLANT_LOCAL_ENGINE__N_CTX": "2048"}
