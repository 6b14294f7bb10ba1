"""Whatever stands in the catalogue's own files: read or reported, with a way out, and no verb ends with a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.catalog.hub_cache import HUB_MARK
from parlant_local.catalog.index import ModelIndex
from parlant_local.catalog.ollama_manifest import parse_manifest
from parlant_local.catalog.records import ModelFile, ModelSource, ModelState, ModelType
from parlant_local.catalog.speed import prefill_operations
from parlant_local.catalog.transfer.journal import Identity, Journal, bytes_done
from parlant_local.cli.main import main
from parlant_local.errors import CatalogError, InvalidModelError, ParlantLocalError
from parlant_local.observability import NullLogger
from tests.support.damage import DAMAGES, JSON_VALUES, damaged, put, scratch_of_a_dead_process
from tests.support.small_gguf import write_gguf

many = hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

RECORD = LocalModel(
    id="local/llama/one",
    name="one",
    type=ModelType.LLAMA,
    source=ModelSource.CUSTOM,
    state=ModelState.INCOMPLETE,
    files=(ModelFile(Path("/models/one.gguf"), 5, "a" * 64, 7),),
    references=("hf.co/a/b",),
    defaults={"stop": ["x"]},
    pending=(Path("/models/one.gguf"),),
    total=5,
    owned=True,
)
ENTRY = {"version": 1, "model": RECORD.as_dict()}
NAME = "local--llama--one.json"


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "origin" / "Good-Q4_0.gguf", seed=3)


def verb(*arguments: str) -> int:
    """Exit code of a verb, run in this process; anything but a proper exit is its failure."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_listed_and_can_be_removed(
    damage: str, manager: LocalModelManager, model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = asyncio.run(manager.register_model(model_file))
    put(damage, manager.models_dir / "index" / NAME)
    asyncio.run(manager.initialize())
    assert manager.get_model(good.id) == good
    (shown,) = manager.list_models(states=[ModelState.BROKEN])
    assert shown.id == "local/llama/one"
    assert NAME in shown.reason
    assert "parlant-local rm local/llama/one" in shown.reason
    with pytest.raises(CatalogError, match="can't be read"):
        asyncio.run(manager.verify_model(shown.id))
    with pytest.raises(CatalogError, match="can't be read"):
        manager.get_model(shown.id)
    folder = ("--models-dir", str(manager.models_dir))
    assert verb("list", "--all", *folder) == 0
    assert "local/llama/one" in capsys.readouterr().out
    assert verb("list", "--all", "--json", *folder) == 0
    assert verb("show", "local/llama/one", *folder) == 0
    assert verb("verify", *folder) == 1
    assert verb("rm", "local/llama/one", *folder) == 0
    assert [model.id for model in manager.list_models(states="all") if not model.shipped] == [good.id]


async def test_a_damaged_record_is_set_aside_by_the_one_that_takes_its_place(
    manager: LocalModelManager, model_file: Path
) -> None:
    model = await manager.register_model(model_file)
    (path,) = (manager.models_dir / "index").glob("*.json")
    for content in (b"{", json.dumps({"version": 99, "model": {"precious": 1}}).encode()):
        path.write_bytes(content)
        again = await manager.register_model(model_file)
        assert again.id == model.id
        assert content in [item.read_bytes() for item in path.parent.glob("*.damaged-*")]
    assert manager.get_model(model.id)


async def test_a_model_in_the_folder_whose_record_is_damaged_heals_at_the_next_start(
    manager: LocalModelManager, model_file: Path
) -> None:
    model = await manager.register_model(model_file, copy=True)
    (path,) = (manager.models_dir / "index").glob("*.json")
    path.write_text("[]")
    await manager.initialize()
    assert manager.get_model(model.id).paths == model.paths


@given(data=damaged(ENTRY))
@many
def test_whatever_a_record_says_every_verb_ends_properly(data: bytes, tmp_path: Path) -> None:
    models = tmp_path / "models"
    put(data, models / "index" / NAME)
    for arguments in (
        ("list", "--all"),
        ("list", "--all", "--json"),
        ("show", "local/llama/one"),
        ("verify", "local/llama/one"),
        ("rm", "local/llama/one"),
        ("list", "--all"),
    ):
        assert verb(*arguments, "--models-dir", str(models)) in (0, 1)
    assert not (models / "index" / NAME).is_file()


async def test_rm_stays_in_its_own_folders_whatever_a_record_says(manager: LocalModelManager, tmp_path: Path) -> None:
    precious = [tmp_path / "precious" / name for name in ("thesis.txt", ".download.part", ".download.journal")]
    link = manager.models_dir / "files" / "link.gguf"
    link.parent.mkdir(parents=True)
    for path in precious:
        path.parent.mkdir(exist_ok=True)
        path.write_text("years")
    link.symlink_to(precious[0])
    claims = [precious[0], manager.models_dir / ".." / "precious" / "thesis.txt", link]
    for at, claim in enumerate(claims):
        model = RECORD.having(
            id=f"local/llama/claim-{at}",
            files=(ModelFile(claim, 5),),
            pending=(tmp_path / "precious" / "download",),
            state=ModelState.AVAILABLE,
        )
        manager._index.write(model)
        assert await manager.delete_model(model.id) == 0
    assert [path.read_text() for path in precious] == ["years"] * 3
    assert not link.is_symlink()
    cache = tmp_path / "once" / "models--a--b"  # a hub cache that the environment no longer names
    ours = cache / "snapshots" / "c" / "x.gguf"
    ours.parent.mkdir(parents=True)
    ours.write_text("model")
    (cache / HUB_MARK).touch()
    manager._index.write(RECORD.having(files=(ModelFile(ours, 5),), pending=(), state=ModelState.AVAILABLE))
    assert await manager.delete_model(RECORD.id) == 5
    assert not ours.exists()


async def test_a_name_that_no_record_can_hold_is_refused_when_it_is_given(
    manager: LocalModelManager, tmp_path: Path
) -> None:
    for name in ("a\x1b[2Jb.gguf", "a\nb.gguf"):
        path = write_gguf(tmp_path / name)
        with pytest.raises(CatalogError, match="control characters"):
            await manager.register_model(path)
    not_text = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")
    write_gguf(tmp_path / "x.gguf").rename(not_text)
    with pytest.raises(CatalogError):
        await manager.register_model(not_text)
    assert [model for model in manager.list_models(states="all") if not model.shipped] == []


@pytest.mark.parametrize("where", ["index", "index/.lock", ""])
def test_a_file_where_a_folder_should_be(where: str, manager: LocalModelManager, model_file: Path) -> None:
    place = manager.models_dir / where
    if where.endswith("lock"):
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    with pytest.raises(ParlantLocalError):
        asyncio.run(manager.register_model(model_file))
    for arguments in (("list", "--all"), ("show", "x"), ("rm", "x"), ("verify",)):
        assert verb(*arguments, "--models-dir", str(manager.models_dir)) in (0, 1, 2)


async def test_what_killed_writers_left_is_gone_after_a_start(manager: LocalModelManager, model_file: Path) -> None:
    model = await manager.register_model(model_file, copy=True)
    assert model.path is not None
    index = manager.models_dir / "index" / NAME
    manifest = manager.models_dir / "ollama" / "manifests" / "host" / "library" / "m" / "latest"
    manifest.parent.mkdir(parents=True)
    lefts = [scratch_of_a_dead_process(path) for path in (index, model.path, manifest)]
    for left in lefts:
        left.write_bytes(b"half")
    await manager.initialize()
    assert not any(left.exists() for left in lefts)
    assert manager.get_model(model.id) == model


JOURNAL = {"version": 1, "url": "http://h/x", "size": 100, "etag": None, "sha256": "a" * 64}


@given(data=damaged(JOURNAL) | st.binary(max_size=60).map(lambda tail: json.dumps(JOURNAL).encode() + b"\n" + tail))
@many
def test_whatever_a_journal_says_it_claims_no_more_than_the_file_has(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / ".x.journal"
    put(data, path)
    loaded = Journal.load(path)
    assert bytes_done(path) <= (loaded[0].size if loaded else 0)
    if loaded:
        with Journal(path, *loaded) as journal:
            assert 0 <= journal.done <= journal.identity.size
            assert sum(end - start for start, end in journal.missing()) == journal.identity.size - journal.done


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_journal_that_is_none_means_starting_again(damage: str, tmp_path: Path) -> None:
    path = tmp_path / ".x.journal"
    put(damage, path)
    assert Journal.load(path) is None
    if not path.is_dir() and damage not in ("pipe", "socket", "link to itself"):
        with Journal(path, Identity("http://h/x", 100)) as journal:
            journal.add(0, 50)
        assert bytes_done(path) == 50


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_measurement_that_can_not_be_read_is_none(damage: str, tmp_path: Path) -> None:
    put(damage, tmp_path / "machine.json")
    assert prefill_operations(tmp_path, measure=False) is None


@given(data=JSON_VALUES)
@many
def test_whatever_the_machine_file_says_recommend_ends_properly(data: Any, tmp_path: Path) -> None:
    from parlant_local.catalog.speed import _key

    home = Path(os.environ["PARLANT_LOCAL_HOME"])
    put(json.dumps({"key": _key(), "prefill_operations_per_second": data}).encode(), home / "machine.json")
    assert verb("recommend", "--no-measure") == 0


def test_a_home_that_can_not_be_written_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("parlant_local.catalog.speed.measure_prefill", lambda: 1e9)
    assert prefill_operations(tmp_path / "file") == 1e9


@given(data=damaged({"layers": [{"digest": "sha256:" + "a" * 64, "size": 5, "mediaType": "x"}], "config": {}}))
@many
def test_whatever_a_manifest_says(data: bytes) -> None:
    with contextlib.suppress(InvalidModelError):
        manifest = parse_manifest(data, "It")
        assert all(layer.size >= 0 for layer in manifest.layers)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_another_programs_store_is_passed_over(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "ollama"
    monkeypatch.setenv("OLLAMA_MODELS", str(store))
    put(damage, store / "manifests" / "registry.ollama.ai" / "library" / "m" / "latest")
    manager = LocalModelManager(NullLogger(), tmp_path / "models", offline=True)
    assert asyncio.run(manager.discover()) == []


def test_a_damaged_record_is_looked_at_again_when_it_was_repaired(tmp_path: Path) -> None:
    index = ModelIndex(tmp_path)
    (tmp_path / NAME).write_text("{")
    assert not index.read()
    assert index.unreadable
    (tmp_path / NAME).write_text(json.dumps(ENTRY))
    assert index.read() == {RECORD.id: RECORD}
    assert not index.unreadable
    (tmp_path / "copy.json").write_text(json.dumps(ENTRY))
    assert list(index.read()) == [RECORD.id]
    assert "local/llama/one" in index.unreadable["copy.json"]


def test_what_a_file_says_of_itself_is_cut_to_a_line(tmp_path: Path) -> None:
    index = ModelIndex(tmp_path)
    index.write(RECORD.having(license="MIT\nand so on", architecture="ll\x1bama", quantization="x" * 9000))
    read = index.read()[RECORD.id]
    assert (read.license, read.architecture, len(read.quantization or "")) == ("MIT", "ll ama", 200)
