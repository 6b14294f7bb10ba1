"""Files by address: names, shards, proxies, limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from parlant_local.catalog import LocalModelManager, ModelSource
from parlant_local.catalog.transfer import rate, reception
from parlant_local.errors import BadReferenceError, HubError, TransferError
from parlant_local.observability import NullLogger
from parlant_local.settings import load_settings
from tests.fakes.transfers import Exchange, LoopbackServer
from tests.support.small_gguf import write_gguf, write_split

MIB = 1 << 20


class FileServer(LoopbackServer):
    """Files by path; as a proxy, by whole address."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Path] = {}
        self.redirects: dict[str, str] = {}

    def handle(self, exchange: Exchange) -> None:
        if exchange.path in self.redirects:
            exchange.answer(302, b"", {"Location": self.redirects[exchange.path]})
        elif exchange.path in self.files:
            exchange.send_file(self.files[exchange.path], self.take_fault(exchange.request), "e1")
        else:
            exchange.answer(404, b"<html>")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


async def test_a_file_is_fetched_once_and_found_by_its_address(
    manager: LocalModelManager, server: FileServer, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "o" / "My-Gemma-Q8_0.gguf", architecture="gemma2", payload=MIB)
    server.files["/models/My-Gemma-Q8_0.gguf"] = path
    url = f"{server.url}/models/My-Gemma-Q8_0.gguf"
    model = await manager.download_model(url + "?key=hidden")
    assert (model.id, model.source) == ("local/gemma/my-gemma-q8_0", ModelSource.GGUF)
    assert manager.resolve(url) == model.path
    assert "hidden" not in str(model.as_dict())
    requests = len(server.requests)
    assert await manager.download_model(url) == model
    assert len(server.requests) == requests


async def test_one_shard_brings_the_others(manager: LocalModelManager, server: FileServer, tmp_path: Path) -> None:
    shards = write_split(tmp_path / "o", "Big", 3)
    server.files = {f"/x/{path.name}": path for path in shards}
    model = await manager.download_model(f"{server.url}/x/{shards[1].name}")
    assert [path.read_bytes() for path in model.paths] == [path.read_bytes() for path in shards]
    del server.files[f"/x/{shards[2].name}"]
    await manager.delete_model(model.id)
    with pytest.raises(HubError, match="404"):
        await manager.download_model(f"{server.url}/x/{shards[0].name}")
    assert manager.list_models(source="gguf") == []


async def test_a_proxy_is_used_and_hosts_here_are_not_sent_through_it(
    manager: LocalModelManager, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "o" / "m.gguf")
    server.files["http://models.example/m.gguf"] = server.files["/n.gguf"] = path
    monkeypatch.setenv("http_proxy", server.url)
    await manager.download_model("http://models.example/m.gguf")
    assert {request.path for request in server.requests} == {"http://models.example/m.gguf"}
    await manager.download_model(f"{server.url}/n.gguf")
    assert server.requests[-1].path == "/n.gguf"


@pytest.mark.parametrize("target", ["ftp://example.com/m.gguf", "file:///etc/passwd"])
async def test_redirects_lead_to_the_web_only(manager: LocalModelManager, server: FileServer, target: str) -> None:
    server.redirects["/m.gguf"] = target
    with pytest.raises(TransferError, match="not an http"):
        await manager.download_model(f"{server.url}/m.gguf")


async def test_endless_redirects_end(manager: LocalModelManager, server: FileServer) -> None:
    server.redirects["/m.gguf"] = "/m.gguf"
    with pytest.raises(TransferError, match="redirects more than"):
        await manager.download_model(f"{server.url}/m.gguf")


async def test_the_rate_can_be_limited(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine does: as many seconds of waiting are asked for as the bytes are worth."""
    now = 0.0

    class Halt(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            now += timeout or 0.0
            return self.is_set()

    monkeypatch.setattr(rate, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(reception, "Event", Halt)
    server.files["/m.gguf"] = path = write_gguf(tmp_path / "o" / "m.gguf", payload=3 * MIB)
    limits = load_settings(overrides={"downloads.max_rate_mb": 2.0, "downloads.connections": 1})
    manager = LocalModelManager(NullLogger(), tmp_path / "models", limits)
    await manager.download_model(f"{server.url}/m.gguf")
    assert now == pytest.approx(path.stat().st_size / 2e6, rel=0.01)


async def test_a_host_that_is_not_there_is_named(manager: LocalModelManager) -> None:
    with pytest.raises(TransferError, match=r"127\.0\.0\.1:9.*can't be reached"):
        await manager.download_model("http://127.0.0.1:9/m.gguf")


async def test_an_address_of_something_else_is_refused(manager: LocalModelManager) -> None:
    with pytest.raises(BadReferenceError, match="does not end in"):
        await manager.download_model("https://example.com/page")
