"""Quantizing: bit for bit what llama.cpp's own function makes, by either way."""

from __future__ import annotations

import importlib.util
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
from parlant_local.engine.native import quantizing
from parlant_local.errors import (
    BadRequestError,
    EngineError,
    InvalidModelError,
    JobCancelledError,
    ParlantLocalError,
)
from parlant_local.gguf_info import read_header
from parlant_local.settings import EngineSettings
from parlant_local.workshop import QUANTIZATIONS, Control, quantize, split
from parlant_local.workshop.imatrix_files import Imatrix, Sums, read_imatrix, write_imatrix
from tests.support.at_home import Verb
from tests.support.gguf_models import deepseek2, llama
from tests.support.places import COMMAND, TINY
from tests.workshop.native_quantize import natively
from tests.workshop.test_editing import left_in, tensors


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


native = pytest.mark.skipif(not installed("llama_cpp"), reason="llama.cpp's function is in this build only")
binary = pytest.mark.skipif(not installed("xllamacpp"), reason="the build without the function")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama(tmp_path_factory.mktemp("source") / "small-F32.gguf", width=256, feed_forward=512, tied=False)


def kinds(path: Path) -> dict[str, str]:
    return {each.name: each.tensor_type.name for each in GGUFReader(path).tensors}


def importance_of(path: Path, target: Path, *, seed: int = 0) -> tuple[Path, dict[str, list[float]]]:
    """A random matrix for each weight of the layers."""
    random = np.random.default_rng(seed)
    sums = {}
    for info in read_header(path).tensors:
        if len(info.shape) > 1 and info.name.startswith("blk."):
            matrices = info.shape[2] if len(info.shape) > 2 else 1
            squares = random.uniform(0.1, 9, (matrices, info.shape[0])).astype(np.float32)
            sums[info.name] = Sums(squares, np.full(matrices, 7, np.float32))
    write_imatrix(target, Imatrix(sums, ["a text"], 3, 512))
    return target, {name: values.tolist() for name, values in read_imatrix(target).importance().items()}


MIXTURES = ("Q4_K_M", "IQ4_XS", "F16")
PURE = ("Q4_K_S", "Q8_0", "BF16", "IQ4_NL")
OVERRIDES = [("ffn_down", 14), (r"blk\.1\.attn_v", 1)]


@pytest.fixture(scope="module")
def expected(source: Path) -> dict[str, Path]:
    """What the native function makes of ``source``, in one process of its own."""
    folder = source.parent
    _, values = importance_of(source, folder / "importance.gguf")
    exact = {"overrides": OVERRIDES, "output_tensor_type": 8, "token_embedding_type": 1, "importance": values}
    specs: dict[str, dict[str, Any]] = {
        **{label: {"ftype": QUANTIZATIONS[label]} for label in MIXTURES},
        **{f"pure {label}": {"ftype": QUANTIZATIONS[label], "pure": True} for label in PURE},
        "exact": {"ftype": QUANTIZATIONS["IQ2_XS"], **exact},
    }
    natively(source, {folder / f"{name}.gguf": spec for name, spec in specs.items()})
    return {name: folder / f"{name}.gguf" for name in specs}


@native
@pytest.mark.parametrize("label", MIXTURES)
def test_a_mixture_is_the_native_functions_file(
    label: str, source: Path, expected: dict[str, Path], manager: LocalModelManager
) -> None:
    model = quantize(source, label, manager=manager)
    assert model.path is not None
    assert model.path.read_bytes() == expected[label].read_bytes()
    assert model.id.endswith(f"small-{label.lower()}")
    assert model.quantization == label
    assert model.made is not None
    assert model.made.verb == "quantize"
    assert model.made.options["type"] == label


@native
@pytest.mark.evidence
def test_every_other_quantization_is_the_native_functions_file(
    source: Path, manager: LocalModelManager, tmp_path: Path
) -> None:
    matrix, values = importance_of(source, tmp_path / "i.gguf")
    labels = sorted(set(QUANTIZATIONS) - set(MIXTURES))
    natively(
        source, {tmp_path / f"{label}.gguf": {"ftype": QUANTIZATIONS[label], "importance": values} for label in labels}
    )
    for label in labels:
        made = tmp_path / f"{label}.gguf"
        if not made.exists():  # one of those that the library refuses for this model
            with pytest.raises(EngineError):
                quantize(source, label, imatrix=matrix, manager=manager)
            continue
        model = quantize(source, label, imatrix=matrix, manager=manager)
        assert model.path is not None
        assert model.path.read_bytes() == made.read_bytes(), label


@native
def test_exceptions_and_importance_are_the_native_functions_too(
    source: Path, expected: dict[str, Path], manager: LocalModelManager
) -> None:
    model = quantize(
        source,
        "iq2_xs",
        overrides=["ffn_down=Q6_K", r"blk\.1\.attn_v=F16"],
        output_type="q8_0",
        embedding_type="F16",
        imatrix=source.parent / "importance.gguf",
        manager=manager,
    )
    assert model.path is not None
    assert model.path.read_bytes() == expected["exact"].read_bytes()
    found = kinds(model.path)
    assert found["output.weight"] == "Q8_0"
    assert found["token_embd.weight"] == "F16"
    assert found["blk.0.ffn_down.weight"] == found["blk.1.ffn_down.weight"] == "Q6_K"
    assert found["blk.1.attn_v.weight"] == "F16"
    assert found["blk.0.attn_k.weight"].startswith("IQ2")
    assert model.made is not None
    assert len(model.made.options["imatrix_sha256"]) == 64


@native
def test_the_output_can_stay_as_it_is(source: Path, manager: LocalModelManager) -> None:
    model = quantize(source, "Q4_K_M", keep_output=True, manager=manager)
    assert model.path is not None
    assert kinds(model.path)["output.weight"] == "F32"


@native
@pytest.mark.parametrize("label", PURE)
def test_a_pure_one_is_the_same_by_rows(
    label: str, source: Path, expected: dict[str, Path], manager: LocalModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same build: other builds' arithmetic may differ in the last bit."""
    by_rows(monkeypatch)
    model = quantize(source, label, pure=True, manager=manager)
    assert model.path is not None
    assert tensors(model.path) == tensors(expected[f"pure {label}"])
    assert kinds(model.path) == kinds(expected[f"pure {label}"])
    assert read_header(model.path).quantization == label


def by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the build had no function for whole models."""
    monkeypatch.setattr(quantizing.Quantizer, "available", staticmethod(lambda _: False))
    monkeypatch.setattr("parlant_local.workshop.quantizing.run_child", in_this_process)


def in_this_process(job: str, spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    from parlant_local.workshop import quantize_job

    assert job == "quantize"
    return quantize_job.work(lambda *_: None, **spec)


@binary
def test_a_build_without_the_function_makes_pure_ones_and_says_what_it_can_not(verb: Verb, source: Path) -> None:
    """A process of its own: this one may have loaded the other build."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PARLANT_LOCAL_ENGINE__LIBRARY": "binary",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return subprocess.run(
            [COMMAND, "quantize", str(source), *words], capture_output=True, text=True, env=environment, timeout=60
        )

    refused = run("Q4_K_M")
    assert refused.returncode == 2
    assert "mixes types" in refused.stderr
    assert "parlant-local[native]" in refused.stderr
    assert "--pure" in refused.stderr
    made = run("Q4_K_M", "--pure")
    assert made.returncode == 2, "it is a mixture by its name"
    made = run("Q4_K_S", "--pure", "--tensor-type", "attn_v=Q8_0", "--name", "flat", "--output-type", "F16")
    assert made.returncode == 0, made.stderr
    found = LocalModelManager().get_model("local/llama/flat")
    assert found.path is not None
    types = kinds(found.path)
    assert types["blk.0.attn_v.weight"] == "Q8_0"
    assert types["output.weight"] == "F16"
    assert types["blk.0.ffn_up.weight"] == "Q4_K"
    assert types["blk.0.attn_norm.weight"] == "F32"
    LoadedModel(found.path, EngineSettings(vetting="never")).release()


def test_experts_have_their_own_importance(
    manager: LocalModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = deepseek2(tmp_path / "m.gguf")
    matrix, values = importance_of(source, tmp_path / "i.gguf")
    expected = quantize(source, "Q4_0", pure=True, imatrix=matrix, manager=manager, name="whole")
    by_rows(monkeypatch)
    model = quantize(source, "Q4_0", pure=True, imatrix=matrix, manager=manager, name="rows")
    plain = quantize(source, "Q4_0", pure=True, manager=manager, name="plain")
    assert model.path is not None
    assert expected.path is not None
    assert plain.path is not None
    ours, theirs, without = tensors(model.path), tensors(expected.path), tensors(plain.path)
    experts = [name for name in ours if "_exps" in name]
    assert experts
    assert {name: ours[name] for name in experts} == {name: theirs[name] for name in experts}
    assert all(ours[name] != without[name] for name in experts)
    assert any("_exps" in name for name in values)


@native
def test_a_split_model_becomes_one_file(source: Path, manager: LocalModelManager) -> None:
    parts = split(source, max_tensors=6, manager=manager)
    whole, model = quantize(source, "Q4_K_M", manager=manager, name="a"), quantize(parts.id, "Q4_K_M", manager=manager)
    assert whole.path is not None
    assert model.path is not None
    assert len(model.files) == 1
    assert tensors(model.path) == tensors(whole.path)


@pytest.mark.parametrize(
    ("quantization", "options", "what"),
    [
        ("Q9_K", {}, "not a quantization"),
        ("NVFP4", {}, "not a quantization"),
        ("Q4_K_M", {"overrides": ["ffn_down"]}, "PATTERN=TYPE"),
        ("Q4_K_M", {"overrides": ["=Q4_K"]}, "PATTERN=TYPE"),
        ("Q4_K_M", {"overrides": ["nothing=Q4_K"]}, "No tensor"),
        ("Q4_K_M", {"overrides": ["(=Q4_K"]}, "regular expression"),
        ("Q4_K_M", {"overrides": ["ffn_down=Q8_K"]}, "not a type"),
        ("Q4_K_M", {"output_type": "I8"}, "not a type"),
        ("Q4_K_M", {"imatrix": TINY}, "not an importance matrix"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_written(
    quantization: str, options: dict[str, Any], what: str, source: Path, manager: LocalModelManager
) -> None:
    with pytest.raises((BadRequestError, InvalidModelError), match=what):
        quantize(source, quantization, **options, manager=manager)
    assert not list(manager.models_dir.rglob("*.gguf"))


def test_a_quantized_model_is_not_quantized_again_unasked(source: Path, manager: LocalModelManager) -> None:
    first = quantize(source, "Q8_0", manager=manager)
    with pytest.raises(BadRequestError, match="quantized already"):
        quantize(first.id, "Q4_K_M", manager=manager)


@native
def test_asked_for_it_is(source: Path, manager: LocalModelManager) -> None:
    first = quantize(source, "Q8_0", manager=manager)
    again = quantize(first.id, "Q4_0", requantize=True, manager=manager)
    assert again.id.endswith("small-q4_0")


@native
def test_what_llama_cpp_refuses_is_said_in_its_words_and_nothing_is_left(
    source: Path, manager: LocalModelManager
) -> None:
    with pytest.raises(EngineError, match=r"importance matrix|imatrix"):
        quantize(source, "IQ2_XXS", manager=manager)
    assert not list(manager.models_dir.rglob("*.gguf"))
    assert left_in(manager.models_dir) == []


def test_a_matrix_of_another_model_is_refused(source: Path, manager: LocalModelManager, tmp_path: Path) -> None:
    matrix, _ = importance_of(llama(tmp_path / "other.gguf", width=64), tmp_path / "i.gguf")
    with pytest.raises(BadRequestError, match="another model"):
        quantize(source, "Q4_K_M", imatrix=matrix, manager=manager)


@pytest.mark.parametrize(
    "damage",
    [
        lambda sums: {name: Sums(each.squares * np.float32("nan"), each.counts) for name, each in sums.items()},
        lambda sums: {name: Sums(-each.squares, each.counts) for name, each in sums.items()},
        lambda sums: {name: Sums(each.squares, np.ones(3, np.float32)) for name, each in sums.items()},
        lambda sums: {},
    ],
)
def test_a_damaged_matrix_is_refused(damage: Any, source: Path, manager: LocalModelManager, tmp_path: Path) -> None:
    matrix, _ = importance_of(source, tmp_path / "i.gguf")
    write_imatrix(matrix, Imatrix(damage(read_imatrix(matrix).sums), [], 1, 1))
    with pytest.raises(InvalidModelError):
        quantize(source, "Q4_K_M", imatrix=matrix, manager=manager)


def test_a_cancelled_job_ends_its_process_and_leaves_nothing(source: Path, manager: LocalModelManager) -> None:
    control = Control(lambda moment: control.cancel() if moment.doing.startswith("Quantizing") else None)
    with pytest.raises(JobCancelledError):
        quantize(source, "Q4_K_M" if installed("llama_cpp") else "Q8_0", manager=manager, control=control)
    assert not list(manager.models_dir.rglob("*.gguf"))
    assert left_in(manager.models_dir) == []


def test_a_file_that_crashes_its_process_is_an_error(
    source: Path, manager: LocalModelManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "crash.py"
    script.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n", "utf-8")
    monkeypatch.setattr("parlant_local.workshop.child._SCRIPT", script)
    with pytest.raises(ParlantLocalError, match="crashed its process") as caught:
        quantize(source, "Q8_0", manager=manager)
    assert isinstance(caught.value, InvalidModelError)
    assert left_in(manager.models_dir) == []


def test_the_verb_says_what_it_made(source: Path, verb: Verb) -> None:
    code, out, err = verb("quantize", str(source), "Q8_0", "--quiet", "--tensor-type", "attn_v=F16", "--name", "small")
    assert (code, err) == (0, "")
    assert "local/llama/small is available" in out
    _, shown, _ = verb("show", "small")
    assert "made by        quantize " in shown
    assert "type=Q8_0" in shown
