"""``setup``: what it offers, asks and downloads; a package index and a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.sources import pypi_known
from parlant_local.catalog.sources.pypi_known import KnownPackage, PackedFile, Wheel
from parlant_local.cli import setup as offering  # pytest takes setup_module for its own
from parlant_local.cli.recommend import recommend
from tests.fakes.package_index import FakePackageIndex
from tests.support import gguf_models
from tests.support.small_gguf import write_gguf


@pytest.fixture(autouse=True)
def nothing_reachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",  # Ollama's registry
        "PARLANT_LOCAL_HOME": str(tmp_path / "parlant-local"),
        "PARLANT_LOCAL_DOWNLOADS__ATTEMPTS": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple/",
        "PIP_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "HF_HUB_OFFLINE", "MODEL_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(LocalModelManager, "recommend", _recommend)


def _recommend(self: LocalModelManager, limit: int = 5) -> list[Any]:
    from parlant_local.catalog.recommend import recommend

    return recommend(8 << 30, 1e12, limit)  # without measuring


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePackageIndex]:
    """An index with the two known models, tiny here."""
    with FakePackageIndex() as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.simple)
        chat = write_gguf(tmp_path / "o" / "chat.gguf")
        embedder = gguf_models.bert(tmp_path / "o" / "bert.gguf")
        packages = []
        for name, short, path in (
            ("all-minilm-l6-v2", "all-minilm-l6-v2", embedder),
            ("small-chat", "smollm2:135m", chat),
        ):
            release = server.add(f"{name}-pack", "1", {"m.gguf": path})
            packages.append(
                KnownPackage(
                    name=name,
                    what="",
                    wheels=(Wheel(f"{name}-pack", "1", release.sha256, len(release.data)),),
                    files=(PackedFile("m.gguf", "m.gguf"),),
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    size=path.stat().st_size,
                    license="mit",
                    short=short,
                )
            )
        monkeypatch.setattr(pypi_known, "PACKAGES", tuple(packages))
        yield server


def run(*arguments: str, answers: str = "", terminal: bool = False) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offering, "_can_ask", lambda: terminal)
        return CliRunner().invoke(offering.setup, arguments, input=answers)


def test_where_nobody_can_be_asked_it_only_tells(index: FakePackageIndex) -> None:
    result = run()
    assert result.exit_code == 0
    assert "To download it: parlant-local pull all-minilm-l6-v2" in result.stderr
    assert index.requests == []
    states = [item["state"] for item in json.loads(run("--json").stdout)]
    assert states == ["missing", "missing"]


def test_offline_it_does_nothing_loudly(index: FakePackageIndex) -> None:
    result = run("--yes", "--offline")
    assert result.exit_code == 0
    assert result.stderr.count("Offline mode is on: nothing is downloaded.") == 2
    assert index.requests == []


def test_yes_takes_what_can_be_reached(index: FakePackageIndex) -> None:
    result = run("--yes")
    assert result.exit_code == 0, result.stderr
    assert "local/embedding/all-minilm-l6-v2 is available." in result.stderr
    assert "can't be reached" in result.stderr
    assert "smollm2:135m is much smaller, but comes from the package index" in result.stderr
    assert "local/llama/small-chat is available." in result.stderr
    assert run().stdout.strip() == "Nothing is missing."


def test_in_a_terminal_it_asks(index: FakePackageIndex) -> None:
    declined = run(answers="n\nn\n", terminal=True)
    assert declined.exit_code == 0
    assert index.requests == []
    result = run("--skip", "chat", answers="\n", terminal=True)
    assert result.exit_code == 0
    assert "local/embedding/all-minilm-l6-v2 is available." in result.stderr
    instead = run(answers="y\nn\n", terminal=True)
    assert "Download it instead?" in instead.stderr
    assert instead.exit_code == 1  # wanted, but not to be had


def test_an_index_that_is_away_fails_it(index: FakePackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    result = run("--yes", "--skip", "chat", "--json")
    assert result.exit_code == 1
    assert [item["state"] for item in json.loads(result.stdout)] == ["failed"]
    assert "could not be downloaded from the package index" in result.stderr


def test_embedders_are_recommended_by_language_size_and_licence() -> None:
    shown = CliRunner().invoke(recommend, ["--embeddings"]).stdout
    for name in (
        "all-minilm-l6-v2",
        "bge-m3",
        "multilingual-e5",
        "nomic-embed-text-v2",
        "embeddinggemma",
        "Qwen3-Embedding",
    ):
        assert name in shown
    assert "LANGUAGES" in shown
    assert "Apache-2.0" in shown
    few = json.loads(CliRunner().invoke(recommend, ["--embeddings", "--limit", "2", "--json"]).stdout)
    assert [item["dimensions"] for item in few["models"]] == [384, 768]


def test_the_verb_in_a_real_terminal(tmp_path: Path) -> None:
    with pexpect.spawn(sys.executable, ["-m", "parlant_local", "setup", "--skip", "chat"], timeout=60) as terminal:
        terminal.expect("Download it")
        terminal.sendline("n")
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0
