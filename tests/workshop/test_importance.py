"""Importance matrices: against an independent computation of what each weight is multiplied with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from parlant_local.catalog import LocalModelManager
from parlant_local.engine import LoadedModel
from parlant_local.errors import BadRequestError, CatalogError, JobCancelledError
from parlant_local.settings import EngineSettings
from parlant_local.workshop import Control, child, imatrix, importance
from parlant_local.workshop.imatrix_files import read_imatrix
from tests.support.at_home import Verb
from tests.support.gguf_models import bert, deepseek2, llama
from tests.support.llama_reference import forward
from tests.support.places import TINY

TEXT = "the quick brown fox jumps over the lazy dog and the customer of the agent " * 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "small.gguf", tied=False)


def tokens_of(path: Path, text: str) -> list[int]:
    model = LoadedModel(path, EngineSettings(vetting="never"), vocabulary_only=True)
    try:
        return model.tokenize(text, add_special=True)
    finally:
        model.release()


def test_sums_are_those_of_an_independent_forward_pass(
    source: Path, manager: LocalModelManager, tmp_path: Path
) -> None:
    made = imatrix(
        source,
        text=TEXT,
        dataset="a.txt",
        chunk_size=64,
        process_output=True,
        output=tmp_path / "i.gguf",
        manager=manager,
    )
    found = read_imatrix(made.path)
    tokens = tokens_of(source, TEXT)
    chunks = len(tokens) // 64
    assert (made.chunks, found.chunks, found.chunk_size, found.datasets) == (chunks, chunks, 64, ["a.txt"])
    expected: dict[str, np.ndarray] = {}
    for chunk in range(chunks):
        inputs, _ = forward(source, tokens[chunk * 64 : (chunk + 1) * 64])
        for name, rows in inputs.items():
            expected[name] = expected.get(name, 0) + (rows * rows).sum(axis=0)
    assert set(found.sums) == set(expected)
    for name, sums in found.sums.items():
        assert sums.counts.tolist() == [chunks * 64]
        np.testing.assert_allclose(sums.squares[0], expected[name], rtol=5e-3, err_msg=name)


def test_the_file_is_as_llama_cpp_writes_it(source: Path, manager: LocalModelManager, tmp_path: Path) -> None:
    made = imatrix(source, text=TEXT, chunk_size=64, max_chunks=1, output=tmp_path / "i.gguf", manager=manager)
    reader = GGUFReader(made.path)
    told = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert told == {
        "general.type": "imatrix", "imatrix.datasets": ["a text"], "imatrix.chunk_count": 1, "imatrix.chunk_size": 64,
    }  # fmt: skip
    shapes = {each.name: each.shape.tolist() for each in reader.tensors}
    assert shapes["blk.0.ffn_down.weight.in_sum2"] == [128, 1]
    assert shapes["blk.0.ffn_down.weight.counts"] == [1, 1]
    assert not [name for name in shapes if name.startswith("output")]
    assert list(shapes) == sorted(shapes, key=lambda name: name.rpartition(".")[0])


def test_each_expert_counts_what_was_routed_to_it(manager: LocalModelManager, tmp_path: Path) -> None:
    source = deepseek2(tmp_path / "m.gguf")
    made = imatrix(source, text=TEXT, chunk_size=32, max_chunks=2, output=tmp_path / "i.gguf", manager=manager)
    sums = read_imatrix(made.path).sums
    routed, inputs = sums["blk.1.ffn_up_exps.weight"], sums["blk.1.ffn_gate_inp.weight"]
    assert routed.squares.shape == (4, 64)
    assert routed.counts.sum() == 2 * inputs.counts.sum() == 2 * 64, "each token goes to two of them"
    np.testing.assert_allclose(routed.squares.sum(axis=0), 2 * inputs.squares[0], rtol=1e-4)


def test_conversations_are_read_in_the_models_own_form(
    source: Path, manager: LocalModelManager, tmp_path: Path
) -> None:
    said: list[Any] = [[{"role": "user", "content": "the fox"}, {"role": "assistant", "content": "the dog"}]] * 2
    said[1] = {"messages": said[0]}
    text = "<|im_start|>user\nthe fox<|im_end|>\n<|im_start|>assistant\nthe dog<|im_end|>\n" * 2
    size = 16
    one = imatrix(source, conversations=said, chunk_size=size, output=tmp_path / "a.gguf", manager=manager)
    model = LoadedModel(source, EngineSettings(vetting="never"), vocabulary_only=True)
    tokens = model.tokenize(text, parse_special=True)
    model.release()
    expected: dict[str, np.ndarray] = {}
    for chunk in range(len(tokens) // size):
        for name, rows in forward(source, tokens[chunk * size : (chunk + 1) * size])[0].items():
            expected[name] = expected.get(name, 0) + (rows * rows).sum(axis=0)
    found = read_imatrix(one.path)
    assert found.chunks == len(tokens) // size > 1
    for name, sums in found.sums.items():
        np.testing.assert_allclose(sums.squares[0], expected[name], rtol=5e-3, err_msg=name)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"text": "too short"}, "fewer than one chunk"),
        ({"text": TEXT, "chunk_size": 8}, "at least 16"),
        ({}, "of a text, or of conversations"),
        ({"text": TEXT, "conversations": []}, "of a text, or of conversations"),
        ({"conversations": ["hello"]}, "list of messages"),
        ({"conversations": [[{"role": "user", "content": 7}]]}, "content"),
    ],
)
def test_what_no_matrix_can_be_made_of_is_refused(
    options: dict[str, Any], what: str, source: Path, manager: LocalModelManager, tmp_path: Path
) -> None:
    with pytest.raises(BadRequestError, match=what):
        imatrix(source, **options, output=tmp_path / "i.gguf", manager=manager)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced(source: Path, manager: LocalModelManager, tmp_path: Path) -> None:
    (tmp_path / "i.gguf").write_text("mine")
    with pytest.raises(CatalogError, match="exists already"):
        imatrix(source, text=TEXT, output=tmp_path / "i.gguf", manager=manager)


def test_a_model_that_makes_no_text_is_refused(manager: LocalModelManager, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="makes no text"):
        imatrix(bert(tmp_path / "m.gguf"), text=TEXT, output=tmp_path / "i.gguf", manager=manager)


def test_a_cancelled_collection_leaves_nothing(source: Path, manager: LocalModelManager, tmp_path: Path) -> None:
    control = Control(lambda moment: control.cancel() if moment.doing.startswith("Reading") else None)
    with pytest.raises(JobCancelledError):
        imatrix(source, text=TEXT, chunk_size=16, output=tmp_path / "i.gguf", manager=manager, control=control)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_collection_goes_on_and_ends_with_the_same_bytes(
    source: Path, manager: LocalModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"text": TEXT, "chunk_size": 16, "manager": manager}
    whole = imatrix(source, output=tmp_path / "whole.gguf", **asked)
    assert whole.chunks > 4
    monkeypatch.setattr(importance, "_SAVE_SECONDS", 0.0)
    target, partial = tmp_path / "i.gguf", tmp_path / "i.gguf.partial"
    control = Control(lambda moment: control.cancel() if moment.done == 3 else None)
    with pytest.raises(JobCancelledError, match=r"kept in i\.gguf\.partial"):
        imatrix(source, output=target, control=control, **asked)
    assert not target.exists()
    seen: list[int] = []
    begun = partial.read_bytes()
    made = imatrix(
        source,
        output=target,
        control=Control(lambda moment: seen.append(moment.done) if moment.doing.startswith("Reading") else None),
        **asked,
    )
    assert made.resumed >= 3
    assert seen[0] == made.resumed + 1
    assert target.read_bytes() == whole.path.read_bytes()
    assert not partial.exists()
    # Of another text, another model, or no such file at all, nothing is taken.
    for other, content in (
        ({"text": "and " + TEXT}, begun),
        ({"process_output": True}, begun),
        ({}, b"PK"),
        ({}, begun[:-9]),
    ):
        target.unlink()
        partial.write_bytes(content)
        again = imatrix(source, output=target, **asked | other)
        assert again.resumed == 0
        assert not partial.exists()


def test_its_process_ends_with_the_one_that_waits_for_it(source: Path, tmp_path: Path) -> None:
    """Its standard input is closed, as a killed parent's is."""
    spec = {
        "job": "imatrix", "memory": 8 << 30, "source": str(source), "target": str(tmp_path / "i.gguf"),
        "tokens": [300] * 400_000, "chunk_size": 16, "dataset": "", "threads": 1, "gpu_layers": 0, "output": False,
        "partial": str(tmp_path / "i.partial"), "key": "k", "save_seconds": 60,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", child._SCRIPT], input=json.dumps(spec).encode() + b"\n", capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert not (tmp_path / "i.gguf").exists()
    assert b"Traceback" not in done.stderr


def test_the_verbs_make_a_matrix_and_quantize_with_it(verb: Verb, tmp_path: Path, source: Path) -> None:
    text, lines, target = tmp_path / "t.txt", tmp_path / "t.jsonl", tmp_path / "i.gguf"
    text.write_text(TEXT, "utf-8")
    lines.write_text((json.dumps([{"role": "user", "content": TEXT}]) + "\n\n") * 2, "utf-8")
    code, out, _ = verb("imatrix", str(TINY), str(text), "--chunk", "32", "--output", str(target), "--quiet")
    assert code == 0
    assert f"{target}: 42 weights, from " in out
    code, out, _ = verb("imatrix", str(TINY), str(lines), "--messages", "--chunk", "32", "--chunks", "1", "--json",
                        "--quiet", "--output", str(tmp_path / "j.gguf"))  # fmt: skip
    assert (code, json.loads(out)["chunks"]) == (0, 1)
    code, _, err = verb("quantize", str(source), "Q4_0", "--imatrix", str(target))
    assert code == 2
    assert "belongs to another model" in err
    code, _, err = verb("imatrix", str(TINY), str(text), "--messages", "--output", str(tmp_path / "k.gguf"))
    assert code == 2
    assert "Line 1 is not JSON" in err
