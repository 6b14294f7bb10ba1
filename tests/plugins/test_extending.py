"""docs/extending.md: its package is installed, and used through Parlant, over HTTP and on the command line."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from parlant.core.common import DefaultBaseModel

from parlant_local import LocalModelManager, NLPServiceFactory, Settings
from parlant_local.errors import CloudNotAllowedError, ModelNotFoundError, SettingsError
from parlant_local.profiles import profile_of
from parlant_local.switching import TargetResolver
from parlant_local.switching.opening import open_model
from tests.fakes.transfers import Exchange, LoopbackServer
from tests.server.conftest import Server
from tests.support.gguf_models import llama

from .conftest import PAGE, SETTINGS

SESSION = re.search(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
assert SESSION is not None
COMMANDS = re.findall(r"^\$ parlant-local (.*)\n((?:[^$].*\n)*)", SESSION[1], re.MULTILINE)


class Shelf(LoopbackServer):
    """A web server with one file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def handle(self, exchange: Exchange) -> None:
        if exchange.path == "/small.gguf":
            exchange.send_file(self._path, self.take_fault(exchange.request), "e1")
        else:
            exchange.answer(404, b"")


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with Shelf(llama(tmp_path / "origin.gguf")) as server:
        yield server


@pytest.fixture
def settings_file(tmp_path: Path, shelf: Shelf) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS.replace("http://127.0.0.1:8181", shelf.url))
    return path


@pytest.fixture
def settings(settings_file: Path, example: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.syspath_prepend(str(example))
    return Settings.load(settings_file)


def environment(tmp_path: Path, *packages: Path) -> dict[str, str]:
    path = os.pathsep.join([*map(str, packages), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "HOME": str(tmp_path)}


def command(line: list[str], tmp_path: Path, *packages: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "parlant_local", *line],
        env=environment(tmp_path, *packages),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_commands_of_the_page_print_what_it_says(example: Path, settings_file: Path, tmp_path: Path) -> None:
    (tmp_path / "messages.json").write_text(json.dumps([{"role": "user", "content": "Hello"}]))
    assert len(COMMANDS) == 4
    for line, expected in COMMANDS:
        arguments = [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', line)]
        done = command(arguments, tmp_path, example)
        assert done.returncode == 0, (line, done.stderr)
        wanted = expected.strip("\n").replace("[", "[[]").replace("…", "*")
        assert fnmatch.fnmatchcase(done.stdout.strip("\n"), wanted), (line, done.stdout)


async def test_parlant_thinks_with_it(settings: Settings) -> None:
    class Mood(DefaultBaseModel):
        mood: str

    chosen = settings.model_copy(update={"model": "scripted/json"})
    service: Any = await NLPServiceFactory(settings=chosen).create_default_service()
    generator = await service.get_schematic_generator(Mood)
    assert (await generator.generate("How are you?")).content == Mood(mood="fine")
    texts = (await service.get_streaming_text_generator()).generate("How are you?").stream
    assert "".join([piece async for piece in texts if piece]) == '{"mood": "fine"}'
    await service.close()


def test_the_server_offers_what_its_owner_named(example: Path, settings_file: Path, tmp_path: Path) -> None:
    server = Server(
        tmp_path / "server", "--config", str(settings_file), environment=environment(tmp_path, example) | {"HOME": "/"}
    )
    try:
        with httpx2.Client(base_url=server.url + "/v1", timeout=60) as http:

            def ask(**more: Any) -> httpx2.Response:
                return http.post("/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}], **more})

            listed = [model["id"] for model in http.get("/models").json()["data"]]
            assert listed[0] == "scripted/greeting"
            assert "greeter" in listed
            for named in ({}, {"model": "greeter"}, {"model": "scripted/greeting"}):
                assert ask(**named).json()["choices"][0]["message"]["content"] == "Hello! You said: Hi"
            stream = ask(model="greeter", stream=True).text
            assert "Hello! You said: Hi" in stream
            assert stream.rstrip().endswith("[DONE]")
            # Its backend has it, but the owner's settings don't: no client's word opens it.
            assert ask(model="scripted/json").status_code == 404
            pull = http.post(server.url + "/models", json={"model": "shelf://small"})
            assert (pull.status_code, pull.json()["error"]["code"]) == (400, "bad_request")
    finally:
        assert server.stop() == 0


async def test_what_it_says_is_remote_waits_for_the_owners_leave(settings: Settings) -> None:
    options = {"scripted": {**settings.plugins["scripted"], "remote": True}}
    elsewhere = settings.model_copy(update={"plugins": options})
    assert TargetResolver(elsewhere).target("scripted/greeting").remote
    _, backend = open_model("scripted/greeting", elsewhere)
    with pytest.raises(CloudNotAllowedError):
        await backend.chat("Hi")
    allowed = elsewhere.model_copy(update={"switcher": elsewhere.switcher.model_copy(update={"allow_cloud": "always"})})
    _, backend = open_model("scripted/greeting", allowed)
    assert (await backend.chat("Hi")).content == "Hello! You said: Hi"


async def test_a_pull_is_verified_and_found_again(settings: Settings, shelf: Shelf) -> None:
    manager = LocalModelManager(settings=settings)
    await manager.initialize()
    model = await manager.download_model("shelf://small")
    assert (model.id, model.source, model.vouched) == ("local/llama/small", "shelf", False)
    requests = len(shelf.requests)
    again = LocalModelManager(settings=settings)
    assert (await again.download_model("shelf://small")).id == model.id
    assert again.list_models(source="shelf") == [again.get_model("shelf://small")]
    assert len(shelf.requests) == requests


def test_its_family_is_recognised(settings: Settings) -> None:
    assert profile_of("<|owl|>{{ messages }}").name == "owl"
    assert profile_of(None, {"general.name": "Owl 2B"}).name == "owl"


def test_its_options_are_checked(settings: Settings) -> None:
    typo = settings.model_copy(update={"plugins": {"scripted": {"answer": {}}}})
    with pytest.raises(SettingsError, match=r"plugins\.scripted\.answer .*Known: answers, remote"):
        TargetResolver(typo).target("scripted/greeting")
    with pytest.raises(ModelNotFoundError, match="greetings"):
        TargetResolver(settings).target("scripted/greetings")


def test_nothing_of_it_is_imported_before_it_is_named(example: Path, tmp_path: Path) -> None:
    code = """
import sys, parlant_local
import parlant_local.switching, parlant_local.catalog
from parlant_local.backends import BACKENDS
from parlant_local.catalog.references import parse_reference
from parlant_local.catalog.sources import SOURCES
assert "scripted" in list(BACKENDS) and "shelf" in list(SOURCES)
parse_reference("llama3.2:3b")
assert not [name for name in sys.modules if name.startswith("parlant_local_example")]
BACKENDS.get("scripted")
assert "parlant_local_example.backend" in sys.modules and "parlant_local_example.source" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], env=environment(tmp_path, example), check=True, timeout=120)
