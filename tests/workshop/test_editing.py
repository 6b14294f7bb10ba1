"""Editing: what was asked for changes, and nothing else does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from gguf import GGUFReader

from parlant_local.catalog import LocalModelManager, ModelState
from parlant_local.engine import LoadedModel
from parlant_local.errors import (
    BadRequestError,
    CatalogError,
    InvalidModelError,
    JobCancelledError,
    ModelInUseError,
    ParlantLocalError,
)
from parlant_local.gguf_info import in_use, read_file_header, read_header, sha256_file
from parlant_local.settings import EngineSettings
from parlant_local.workshop import Control, edit, merge, split
from tests.support.gguf_models import llama, qwen3
from tests.support.places import TINY


def tensors(path: Path) -> dict[str, str]:
    """The sha256 of each tensor's bytes, as another reader finds them."""
    return {each.name: hashlib.sha256(each.data.tobytes()).hexdigest() for each in GGUFReader(path).tensors}


def value(path: Path, key: str) -> object:
    field = GGUFReader(path).fields[key]
    return field.contents()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.tmp"))


def test_a_key_set_to_what_it_is_gives_the_same_bytes(manager: LocalModelManager, tmp_path: Path) -> None:
    source = qwen3(tmp_path / "m.gguf")
    model = edit(source, changes=["general.name=random-qwen3"], manager=manager)
    assert model.path is not None
    assert model.path.read_bytes() == source.read_bytes()


def test_keys_are_set_added_and_removed_and_the_rest_stays(manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    model = edit(
        source,
        changes=[
            "general.name=Other, longer than before",
            "llama.rope.freq_base=10000",
            "my.text:str=7",
            "my.count=7",
            "my.negative=-7",
            "my.large=5000000000",
            "my.share=0.5",
            "my.flag=true",
            "my.list:[i32]=[1, -2]",
            'my.words:[str]=["a", "b=c:d"]',
        ],
        removals=["tokenizer.ggml.add_bos_token"],
        manager=manager,
    )
    assert model.path is not None
    before, after = GGUFReader(source), GGUFReader(model.path)
    told = {key: field.contents() for key, field in after.fields.items() if key.startswith("my.")}
    assert told == {
        "my.text": "7", "my.count": 7, "my.negative": -7, "my.large": 5_000_000_000, "my.share": 0.5, "my.flag": True,
        "my.list": [1, -2], "my.words": ["a", "b=c:d"],
    }  # fmt: skip
    assert after.fields["llama.rope.freq_base"].types == before.fields["llama.rope.freq_base"].types
    assert value(model.path, "llama.rope.freq_base") == 10_000.0
    gone = set(before.fields) - set(after.fields)
    assert gone == {"tokenizer.ggml.add_bos_token"}
    same = [key for key in before.fields if key in after.fields and not key.startswith("GGUF.")]
    changed = [key for key in same if value(source, key) != value(model.path, key)]
    assert changed == ["general.name", "llama.rope.freq_base"]
    assert tensors(source) == tensors(model.path)


def test_the_product_is_in_the_catalogue_with_where_it_came_from(manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    model = edit(source, changes=["general.name=Mine"], name="mine", manager=manager)
    found = LocalModelManager().get_model(model.id)
    assert found.state is ModelState.AVAILABLE
    assert found.made is not None
    assert (found.made.verb, found.made.digests) == ("edit", (sha256_file(source),))
    assert found.made.options == {"set": ["general.name=Mine"]}
    again = edit(model.id, changes=["general.name=Yours"], name="yours", manager=manager)
    assert again.made is not None
    assert again.made.sources == (model.id,)


async def test_deleting_a_product_deletes_its_file_and_not_the_source(
    manager: LocalModelManager, tmp_path: Path
) -> None:
    source = llama(tmp_path / "m.gguf")
    here = edit(source, changes=["general.name=Mine"], manager=manager)
    there = edit(source, changes=["general.name=Mine"], output=tmp_path / "there.gguf", manager=manager)
    assert here.path is not None
    assert there.path == tmp_path / "there.gguf"
    for model in (here, there):
        await manager.delete_model(model.id)
    assert not here.path.exists()
    assert source.exists()
    assert there.path.exists()


def test_a_template_and_special_tokens_are_what_the_engine_then_has(manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    model = edit(
        source,
        template="{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}",
        tokens={"eos": "<|endoftext|>", "eot": "<|endoftext|>", "bos": "1000"},
        manager=manager,
    )
    assert model.path is not None
    loaded = LoadedModel(model.path, EngineSettings(vetting="never"))
    try:
        assert loaded.chat_template == "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        assert loaded.bos == 1000
        (end,) = loaded.tokenize("<|endoftext|>", parse_special=True)
        assert end in loaded.end_tokens
    finally:
        loaded.release()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"changes": ["general.name"]}, "KEY=VALUE"),
        ({"changes": ["llama.block_count=two"]}, "not u32"),
        ({"changes": ["llama.block_count=-1"]}, "not u32"),
        ({"changes": ["a:u8=256"]}, "not u8"),
        ({"changes": ["a:[i32]=[1.5]"]}, "whole number"),
        ({"changes": ["a:[bool]=[1]"]}, "not of that type"),
        ({"changes": ["a:[str]={}"]}, "JSON array"),
        ({"changes": ["a:what=1"]}, "not a type"),
        ({"changes": ["a=1", "a=2"]}, "twice"),
        ({"changes": ["split.count=2"]}, "divided"),
        ({"changes": ["general.alignment=64"]}, "where the tensors lie"),
        ({"removals": ["nothing"]}, "no metadata key"),
        ({"tokens": {"eos": "not there"}}, "no token"),
        ({"tokens": {"end": "<|im_end|>"}}, "not a special token"),
        ({}, "Nothing"),
    ],
)
def test_what_can_not_be_changed_so_is_refused(
    change: dict[str, object], what: str, manager: LocalModelManager
) -> None:
    with pytest.raises(BadRequestError, match=what):
        edit(TINY, **change, manager=manager)  # type: ignore[arg-type]  # each of them is
    assert not list(manager.models_dir.rglob("*.gguf"))


@pytest.mark.parametrize(
    "change",
    [
        {"changes": ["llama.block_count=7"]},
        {"changes": ["llama.vocab_size=0"]},
        {"changes": ["general.type=adapter"]},
        {"removals": ["tokenizer.ggml.token_type"], "changes": ["tokenizer.ggml.scores:[f32]=[1.0]"]},
    ],
)
def test_a_product_that_is_no_model_any_more_is_not_kept(
    change: dict[str, list[str]], manager: LocalModelManager, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelError):
        edit(llama(tmp_path / "m.gguf"), **change, manager=manager)
    assert not list(manager.models_dir.rglob("*.gguf"))
    assert left_in(manager.models_dir) == []


def test_a_product_takes_nobodys_place(manager: LocalModelManager, tmp_path: Path) -> None:
    source, other = llama(tmp_path / "m.gguf"), llama(tmp_path / "o.gguf", seed=2)
    before = other.read_bytes()
    for output in (other, source):
        with pytest.raises(CatalogError, match="exists already"):
            edit(source, changes=["general.name=x"], output=output, manager=manager)
    assert other.read_bytes() == before
    with pytest.raises(BadRequestError, match=r"\.gguf"):
        edit(source, changes=["general.name=x"], output=tmp_path / "m.bin", manager=manager)


@pytest.mark.parametrize("moment", [1, 2, 5])
def test_a_cancelled_job_leaves_nothing(moment: int, manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    seen = 0

    def count(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == moment:
            control.cancel()

    control = Control(count)
    with pytest.raises(JobCancelledError):
        split(source, max_tensors=3, output=tmp_path / "parts.gguf", manager=manager, control=control)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.gguf"]
    assert manager.list_models(source="custom") == []


def test_the_source_can_not_be_deleted_meanwhile(manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")

    def deletes(_: object) -> None:
        with in_use.claim(source):
            raise AssertionError("it was not locked")

    with pytest.raises(ModelInUseError):
        edit(source, changes=["general.name=x"], manager=manager, control=Control(deletes))


@pytest.mark.parametrize("limit", [{"max_tensors": 1}, {"max_tensors": 5}, {"max_bytes": 40_000}, {"max_bytes": 1}])
def test_a_model_that_is_split_and_merged_is_the_same_bytes(
    limit: dict[str, int], manager: LocalModelManager, tmp_path: Path
) -> None:
    source = llama(tmp_path / "m.gguf")
    parts = split(source, **limit, manager=manager)  # type: ignore[arg-type]  # one of them
    assert len(parts.files) > 1
    header, original = read_header(parts.files[0].path), read_header(source)
    assert [each.name for each in header.tensors] == [each.name for each in original.tensors]
    if "max_bytes" in limit:
        sizes = [sum(each.nbytes for each in read_file_header(path).tensors) for path in header.paths]
        largest = max(each.nbytes for each in original.tensors)
        assert all(size <= max(limit["max_bytes"], largest) for size in sizes)
    whole = merge(parts.id, manager=manager)
    assert whole.path is not None
    assert whole.path.read_bytes() == source.read_bytes()


def test_llama_cpp_loads_what_was_split(manager: LocalModelManager, tmp_path: Path) -> None:
    parts = split(TINY, max_tensors=20, output=tmp_path / "tiny.gguf", manager=manager)
    assert parts.path == tmp_path / f"tiny-00001-of-{len(parts.files):05d}.gguf"
    loaded = LoadedModel(parts.path, EngineSettings(vetting="never"))
    loaded.release()


def test_an_edit_of_a_split_model_keeps_its_files(manager: LocalModelManager, tmp_path: Path) -> None:
    parts = split(llama(tmp_path / "m.gguf"), max_tensors=7, manager=manager)
    edited = edit(parts.id, changes=["general.name=Parts"], manager=manager)
    assert len(edited.files) == len(parts.files)
    assert read_header(edited.files[0].path).name == "Parts"
    assert [each.sha256 for each in edited.files[1:]] == [each.sha256 for each in parts.files[1:]]


def test_an_alignment_other_than_the_usual_is_kept(manager: LocalModelManager, tmp_path: Path) -> None:
    from gguf import GGUFWriter

    source = llama(tmp_path / "m.gguf")
    writer = GGUFWriter(str(tmp_path / "a.gguf"), "llama")
    writer.add_custom_alignment(128)
    reader = GGUFReader(source)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            kinds = [*field.types, None]
            writer.add_key_value(key, field.contents(), kinds[0], kinds[1])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    parts = split(tmp_path / "a.gguf", max_tensors=4, manager=manager)
    for item in parts.files:
        assert value(item.path, "general.alignment") == 128
    whole = merge(parts.id, manager=manager)
    assert whole.path is not None
    assert whole.path.read_bytes() == (tmp_path / "a.gguf").read_bytes()


def test_what_is_not_split_is_not_merged_and_the_other_way_round(manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    parts = split(source, max_tensors=7, manager=manager)
    wrong = (
        lambda: merge(source, manager=manager),
        lambda: split(parts.id, max_tensors=1, manager=manager),
        lambda: split(source, max_bytes=1 << 40, manager=manager),
        lambda: split(source, manager=manager),
        lambda: split(source, max_bytes=1, max_tensors=1, manager=manager),
    )
    for each in wrong:
        with pytest.raises(BadRequestError):
            each()


def test_a_damaged_source_is_refused(manager: LocalModelManager, tmp_path: Path) -> None:
    source = llama(tmp_path / "m.gguf")
    source.write_bytes(source.read_bytes()[:-4096])
    with pytest.raises(ParlantLocalError, match="truncated"):
        edit(source, changes=["general.name=x"], manager=manager)


def test_records_of_products_survive_their_json(manager: LocalModelManager, tmp_path: Path) -> None:
    model = split(llama(tmp_path / "m.gguf"), max_tensors=7, manager=manager)
    assert type(model).from_dict(json.loads(json.dumps(model.as_dict()))) == model
