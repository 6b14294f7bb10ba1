"""Editing in place: the file has what was asked for, its record knows, and nothing is ever half done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parlant_local.catalog import LocalModelManager, ModelState
from parlant_local.catalog.adapters import Adapters
from parlant_local.errors import (
    BadRequestError,
    InvalidModelError,
    JobCancelledError,
    ModelInUseError,
    ParlantLocalError,
)
from parlant_local.gguf_info import in_use, read_file_header, sha256_file
from parlant_local.shipped import SHIPPED_ID
from parlant_local.workshop import Control, edit, split
from tests.support.adapters import make_adapter
from tests.support.at_home import Verb
from tests.support.gguf_models import llama
from tests.support.places import TINY
from tests.workshop.test_editing import left_in, tensors, value


@pytest.fixture
async def mine(manager: LocalModelManager, tmp_path: Path) -> Path:
    """A file of the owner's, catalogued as ``mine``."""
    path = llama(tmp_path / "mine.gguf")
    path.chmod(0o640)
    await manager.register_model(path, name="mine")
    return path


async def test_the_file_and_its_record_change_together(manager: LocalModelManager, mine: Path) -> None:
    before, weights, digest = manager.find("mine"), tensors(mine), sha256_file(mine)
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    model = edit("mine", changes=["general.name=Ours"], template=template, in_place=True, manager=manager)
    assert (model.id, model.path, model.references) == (before.id, mine, before.references)
    assert value(mine, "general.name") == "Ours"
    assert tensors(mine) == weights
    assert model.sha256 == sha256_file(mine) != digest
    if os.name != "nt":
        assert mine.stat().st_mode & 0o777 == 0o640
    found = LocalModelManager().find("mine")
    assert found == model
    assert found.state is ModelState.AVAILABLE
    assert found.made is not None
    assert (found.made.verb, found.made.sources, found.made.digests) == ("edit", (before.id,), (digest,))
    assert found.made.options["in_place"] is True
    await manager.verify_model("mine")
    assert len(manager.list_models(source="custom")) == 1
    assert left_in(mine.parent) == []


async def test_what_was_published_under_its_digest_no_longer_is(manager: LocalModelManager, mine: Path) -> None:
    manager._index.write(manager.find("mine").having(vouched=True))
    assert not edit("mine", changes=["general.name=Ours"], in_place=True, manager=manager).vouched
    assert not LocalModelManager().find("mine").vouched


def test_a_file_without_a_record_gets_none(manager: LocalModelManager, tmp_path: Path) -> None:
    path = llama(tmp_path / "loose.gguf")
    edit(path, changes=["general.name=Loose"], in_place=True, manager=manager)
    assert value(path, "general.name") == "Loose"
    assert not manager.list_models(source="custom")


def test_of_a_model_in_several_files_the_first_one_changes(manager: LocalModelManager, tmp_path: Path) -> None:
    parts = split(llama(tmp_path / "m.gguf"), max_tensors=10, name="parts", manager=manager)
    stamps = [each.path.stat().st_mtime_ns for each in parts.files]
    model = edit(parts.id, changes=["general.name=Parts"], in_place=True, manager=manager)
    assert value(model.files[0].path, "general.name") == "Parts"
    assert [each.path.stat().st_mtime_ns for each in model.files[1:]] == stamps[1:]
    assert [each.sha256 for each in model.files] == [sha256_file(each.path) for each in parts.files]
    assert LocalModelManager().find("parts").state is ModelState.AVAILABLE


def test_what_is_loaded_is_left_alone(manager: LocalModelManager, mine: Path) -> None:
    digest = sha256_file(mine)
    with in_use.hold(mine), pytest.raises(ModelInUseError, match="is loaded here or in another process"):
        edit("mine", changes=["general.name=Ours"], in_place=True, manager=manager)
    assert sha256_file(mine) == digest
    assert LocalModelManager().find("mine").state is ModelState.AVAILABLE
    assert left_in(mine.parent) == []


def test_what_is_cancelled_or_unusable_changes_nothing(manager: LocalModelManager, mine: Path) -> None:
    digest = sha256_file(mine)
    control = Control(lambda moment: control.cancel() if moment.doing.startswith("Copying") else None)
    with pytest.raises(JobCancelledError):
        edit("mine", changes=["general.name=Ours"], in_place=True, manager=manager, control=control)
    for spoilt in ({"removals": ["llama.block_count"]}, {"changes": ["general.type=adapter"]}):
        with pytest.raises(ParlantLocalError):
            edit("mine", in_place=True, manager=manager, **spoilt)  # type: ignore[arg-type]  # either
    assert sha256_file(mine) == digest
    assert left_in(mine.parent) == []


def test_a_file_that_changes_meanwhile_wins(manager: LocalModelManager, mine: Path) -> None:
    touched: list[str] = []

    def touch(moment: object) -> None:
        if not touched:
            touched.append("once")
            os.utime(mine)

    with pytest.raises(ModelInUseError, match="changed meanwhile"):
        edit("mine", changes=["general.name=Ours"], in_place=True, manager=manager, control=Control(touch))
    assert value(mine, "general.name") != "Ours"


def test_what_others_rely_on_is_refused_in_words(manager: LocalModelManager, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="bundled with parlant-local"):
        edit(SHIPPED_ID, changes=["general.name=Ours"], in_place=True, manager=manager)
    assert sha256_file(TINY) == manager.find(SHIPPED_ID).sha256
    blob = tmp_path / "blobs" / "sha256-abc"
    blob.parent.mkdir()
    llama(blob)
    with pytest.raises(BadRequestError, match="digests"):
        edit(blob, changes=["general.name=Ours"], in_place=True, manager=manager)
    snapshot = tmp_path / "models--someone--some" / "snapshots" / "abc" / "m.gguf"
    snapshot.parent.mkdir(parents=True)
    llama(snapshot)
    with pytest.raises(BadRequestError, match="digests"):
        edit(snapshot, changes=["general.name=Ours"], in_place=True, manager=manager)
    link = tmp_path / "link.gguf"
    link.symlink_to(llama(tmp_path / "behind.gguf"))
    with pytest.raises(BadRequestError, match=r"is a link to .*behind\.gguf"):
        edit(link, changes=["general.name=Ours"], in_place=True, manager=manager)
    for given in ({"name": "other"}, {"output": tmp_path / "other.gguf"}):
        with pytest.raises(BadRequestError, match="keeps its name"):
            edit(link, changes=["general.name=Ours"], in_place=True, manager=manager, **given)


def test_adapters_are_changed_by_name_or_path_while_they_are_used(
    manager: LocalModelManager, home: Path, tmp_path: Path
) -> None:
    shelf = home / "adapters"
    shelf.mkdir()
    make_adapter(shelf / "polite.gguf", llama(tmp_path / "base.gguf", tied=False), 31)
    weights = tensors(shelf / "polite.gguf")
    for name in ("polite", shelf / "polite.gguf"):
        before = Adapters(manager.settings).all()["polite"].stamp
        found = edit(name, changes=[f"general.name={name}"], in_place=True, manager=manager)
        assert value(shelf / "polite.gguf", "general.name") == str(name)
        assert found.sha256 == sha256_file(shelf / "polite.gguf")
        after = Adapters(manager.settings).all()["polite"]
        assert after.problem is None
        assert after.stamp != before  # the next call loads it anew
    assert tensors(shelf / "polite.gguf") == weights
    with pytest.raises(BadRequestError, match="only changed in place"):
        edit("polite", changes=["general.name=Ours"], manager=manager)
    with pytest.raises(InvalidModelError):
        edit("polite", changes=["general.type=model"], in_place=True, manager=manager)
    assert read_file_header(shelf / "polite.gguf").kind == "adapter"
    assert not manager.list_models(source="custom")
    assert left_in(home) == []


def test_the_verb(verb: Verb, mine: Path) -> None:
    code, out, err = verb("edit", "mine", "--set", "general.name=Ours", "--in-place", "--quiet")
    assert (code, err) == (0, "")
    assert out.startswith("local/llama/mine is available: ")
    code, _, err = verb("edit", "mine", "--set", "general.name=Ours", "--in-place", "--name", "other")
    assert code == 2
    assert "keeps its name" in err
