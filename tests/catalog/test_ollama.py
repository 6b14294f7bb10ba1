"""Ollama three ways: its registry, its store on disk, its daemon."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from parlant_local.catalog import DownloadProgress, LocalModelManager, ModelSource, ModelState, ModelType
from parlant_local.errors import (
    AccessError,
    BadReferenceError,
    InvalidModelError,
    ModelNotFoundError,
    OfflineError,
    TransferError,
    VerificationError,
)
from tests.fakes.ollama import FakeOllama
from tests.fakes.registry import FakeRegistry
from tests.fakes.transfers import Fault
from tests.support.eventually import eventually
from tests.support.small_gguf import write_gguf

MIB = 1 << 20


@pytest.fixture(params=[False, True], ids=["open", "with tokens"])
def registry(request: pytest.FixtureRequest) -> Iterator[FakeRegistry]:
    with FakeRegistry(request.param) as server:
        yield server


@pytest.fixture
def gguf_file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "origin" / "model", payload=2 * MIB, file_type=15, name="Llama 3.2")


@pytest.fixture
def published(registry: FakeRegistry, gguf_file: Path) -> str:
    layers = {
        "model": gguf_file,
        "template": b"{{ .Prompt }}",
        "params": json.dumps({"stop": ["<|eot_id|>"], "temperature": 0.6}).encode(),
        "license": b"The licence\nof many lines",
    }
    registry.add("library/llama3.2", "3b", layers)
    return f"{registry.host}/library/llama3.2:3b"


async def test_a_registry_model_becomes_a_verified_local_file(
    manager: LocalModelManager, registry: FakeRegistry, published: str, gguf_file: Path
) -> None:
    model = await manager.download_model(published, source="ollama")
    assert model.id == "local/llama/llama3.2-3b"
    assert model.source is ModelSource.OLLAMA
    assert model.type is ModelType.LLAMA
    assert model.path is not None
    assert model.path.read_bytes() == gguf_file.read_bytes()
    assert model.template == "{{ .Prompt }}"
    assert model.defaults == {"stop": ["<|eot_id|>"], "temperature": 0.6}
    assert model.license == "The licence"
    assert manager.resolve(f"ollama://{published}") == model.path
    assert not any("authorization" in request.headers for request in registry.cdn.requests)


async def test_its_files_are_laid_out_as_ollamas_own_store(
    manager: LocalModelManager, registry: FakeRegistry, published: str
) -> None:
    """So that a daemon pointed there has the model too."""
    model = await manager.download_model(published)
    store = manager.models_dir / "ollama"
    (manifest,) = [path for path in (store / "manifests").rglob("*") if path.is_file()]
    assert manifest.parts[-3:] == ("library", "llama3.2", "3b")
    for layer in json.loads(manifest.read_bytes())["layers"]:
        assert (store / "blobs" / layer["digest"].replace(":", "-")).is_file()
    assert model.path is not None
    assert model.path.parent == store / "blobs"


async def test_an_index_that_was_lost_is_rebuilt_with_everything(
    manager: LocalModelManager, registry: FakeRegistry, published: str
) -> None:
    import shutil

    before = await manager.download_model(published)
    shutil.rmtree(manager.models_dir / "index")
    fresh = LocalModelManager(models_dir=manager.models_dir)
    await fresh.initialize()
    after = fresh.get_model(before.id)
    assert (after.files, after.template, after.owned) == (before.files, before.template, True)


async def test_a_digest_reference_pins_the_manifest(
    manager: LocalModelManager, registry: FakeRegistry, published: str
) -> None:
    data = registry.manifests[("library/llama3.2", "3b")]
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    model = await manager.download_model(f"{registry.host}/library/llama3.2@{digest}")
    assert model.revision == digest
    registry.manifests[("library/llama3.2", digest)] = data + b" "
    await manager.delete_model(model.id)
    with pytest.raises(VerificationError, match="a digest other than"):
        await manager.download_model(f"{registry.host}/library/llama3.2@{digest}")


async def test_wrong_blob_bytes_are_refused(manager: LocalModelManager, registry: FakeRegistry, published: str) -> None:
    registry.cdn.faults.append(Fault(corrupt=True))
    with pytest.raises(VerificationError):
        await manager.download_model(published)
    assert manager.list_models(source="ollama") == []


async def test_a_cut_blob_resumes(manager: LocalModelManager, registry: FakeRegistry, published: str) -> None:
    registry.cdn.faults.append(Fault(cut_after=300_000, times=3, skip=1))
    model = await manager.download_model(published)
    assert registry.cdn.bytes_sent < model.size * 1.3


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../../etc/passwd", "sha256:" + "a" * 63 + "/", "../x", "sha256:" + "A" * 64, "md5:" + "a" * 64, ""],
)
async def test_a_manifest_whose_layer_leads_elsewhere_is_refused_and_writes_nothing(
    manager: LocalModelManager, registry: FakeRegistry, published: str, tmp_path: Path, digest: str
) -> None:
    manifest = json.loads(registry.manifests[("library/llama3.2", "3b")])
    manifest["layers"][0]["digest"] = digest
    registry.set_manifest("library/llama3.2", "3b", manifest)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InvalidModelError):
        await manager.download_model(published)
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in after - before if "index" not in path.parts} == set()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"layers": 1}', b'{"layers": [[]]}', b"[" * 5000, b"<html>"])
async def test_a_manifest_that_is_none_is_refused(
    manager: LocalModelManager, registry: FakeRegistry, published: str, data: bytes
) -> None:
    registry.manifests[("library/llama3.2", "3b")] = data
    with pytest.raises(InvalidModelError):
        await manager.download_model(published)


async def test_an_unknown_model_names_known_ones(manager: LocalModelManager, registry: FakeRegistry) -> None:
    with pytest.raises(ModelNotFoundError, match=r"llama3\.2:1b"):
        await manager.download_model(f"{registry.host}/library/llama3.2:99b")


async def test_a_refusal_says_how_else(manager: LocalModelManager, registry: FakeRegistry, published: str) -> None:
    registry.faults.append(Fault(status=403))
    with pytest.raises(AccessError, match="daemon"):
        await manager.download_model(published)


class TestStore:
    """Models in Ollama's own store are used where they are, never changed."""

    @pytest.fixture
    def store(self, tmp_path: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        root = tmp_path / "ollama-store"
        monkeypatch.setenv("OLLAMA_MODELS", str(root))
        blobs = root / "blobs"
        blobs.mkdir(parents=True)
        layers = []
        for kind, data in {"model": gguf_file.read_bytes(), "template": b"T", "params": b'{"num_ctx": 4096}'}.items():
            digest = hashlib.sha256(data).hexdigest()
            (blobs / f"sha256-{digest}").write_bytes(data)
            layers.append(
                {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}
            )
        manifest = root / "manifests" / "registry.ollama.ai" / "library" / "llama3.2" / "3b"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(json.dumps({"layers": layers}))
        return root

    async def test_they_are_discovered_and_registered_in_place(self, manager: LocalModelManager, store: Path) -> None:
        (found,) = await manager.discover()
        assert found.template == "T"
        assert manager.list_models(source="ollama") == []
        (model,) = await manager.discover(register=True)
        assert model in manager.list_models(source="ollama")
        assert model.path is not None
        assert model.path.is_relative_to(store)
        assert await manager.discover() == []
        await manager.delete_model(model.id)
        assert model.path.exists()

    async def test_pulling_one_of_them_needs_no_network(self, manager: LocalModelManager, store: Path) -> None:
        model = await manager.download_model("llama3.2:3b")
        assert model.path is not None
        assert model.path.is_relative_to(store)

    async def test_rotten_ones_are_not_taken(
        self, manager: LocalModelManager, store: Path, settings: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        blob = max((store / "blobs").iterdir(), key=lambda path: path.stat().st_size)
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.write_bytes(data)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(OfflineError):
            await manager.download_model("llama3.2:3b")
        (model,) = await manager.discover(register=True)
        assert model.state is ModelState.BROKEN


class TestDaemon:
    @pytest.fixture
    async def daemon(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeOllama]:
        async with FakeOllama() as server:
            server.models, server.published = {}, {"llama3.2:3b": 2_000_000}
            monkeypatch.setenv("OLLAMA_HOST", server.url)
            yield server

    async def test_a_daemon_pulls_reports_lists_and_deletes(
        self, manager: LocalModelManager, daemon: FakeOllama
    ) -> None:
        daemon.pause = 0.01
        seen: list[DownloadProgress] = []
        model = await manager.download_model("llama3.2:3b", via="daemon", progress=seen.append)
        assert model.id == "ollama/llama3.2:3b"
        assert model.path is None
        assert model.parameters == 3_000_000_000
        assert [moment.done for moment in seen] == sorted(moment.done for moment in seen)
        assert seen[-1].done == 2_000_000
        assert manager.get_model("ollama/llama3.2:3b") == model
        with pytest.raises(ModelNotFoundError, match="ollama backend"):
            manager.resolve(model.id)
        await manager.delete_model(model.id)
        assert daemon.models == {}
        assert manager.list_models(source="ollama") == []

    async def test_an_unknown_model(self, manager: LocalModelManager, daemon: FakeOllama) -> None:
        with pytest.raises(ModelNotFoundError, match="has no"):
            await manager.download_model("nope:1b", via="daemon")

    async def test_a_daemon_that_is_not_there(self, manager: LocalModelManager) -> None:
        with pytest.raises(TransferError, match="ollama serve"):
            await manager.download_model("llama3.2:3b", via="daemon")

    async def test_cancelling_reaches_the_daemon(self, manager: LocalModelManager, daemon: FakeOllama) -> None:
        daemon.pause = 0.2
        started = asyncio.Event()
        task = asyncio.create_task(
            manager.download_model("llama3.2:3b", via="daemon", progress=lambda _: started.set())
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: daemon.requests[-1].disconnected)

    async def test_what_it_has_is_discovered(self, manager: LocalModelManager, daemon: FakeOllama) -> None:
        daemon.models["qwen3:4b"] = 5
        assert [model.id for model in await manager.discover()] == ["ollama/qwen3:4b"]

    async def test_hub_references_are_not_for_it(self, manager: LocalModelManager, daemon: FakeOllama) -> None:
        with pytest.raises(BadReferenceError):
            await manager.download_model("user/repo:Q4_K_M", via="daemon")


async def test_offline_asks_nobody(manager: LocalModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for reference in ("llama3.2:3b", "user/repo:Q4_K_M", "https://example.com/m.gguf"):
        with pytest.raises(OfflineError):
            await manager.download_model(reference)
    with pytest.raises(OfflineError):
        await manager.download_model("llama3.2:3b", via="daemon")
    assert await manager.discover() == []
    assert os.environ["HF_HUB_OFFLINE"] == "1"
