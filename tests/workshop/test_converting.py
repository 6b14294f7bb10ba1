"""Converting: the engine's logits of the product are transformers' of the source."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.conversion import convert_decoder
from parlant_local.conversion.quantizing import as_bf16
from parlant_local.engine import LoadedModel
from parlant_local.engine.measuring.windows import Scorer, Window
from parlant_local.errors import BadRequestError, InvalidModelError, JobCancelledError, ModelNotFoundError
from parlant_local.gguf_info import read_header, sha256_file
from parlant_local.settings import EngineSettings, Settings
from parlant_local.workshop import CONVERSIONS, Control, convert
from tests.fakes.hub import FakeHub
from tests.support.at_home import Verb
from tests.support.evidence import table, write_section
from tests.support.places import REPOSITORY
from tests.support.safetensors_models import FAMILIES, GEMMA_PIECES, PIECES, RULES, write_model
from tests.workshop.test_editing import left_in, tensors

EXPECTED = Path(__file__).with_name("expected_logits.json")
"""Of transformers, for some columns; test_logits_are_those_of_transformers writes it."""
TOKENS = [(7 * at * at + 31 * at + 300) % 1000 for at in range(48)]
COLUMNS = slice(0, None, 64)
CASES: dict[str, dict[str, Any]] = {
    **{each: {"architecture": each} for each in FAMILIES},
    "Llama with biases": {"architecture": "LlamaForCausalLM", "config": {"attention_bias": True, "rope_scaling": None}},
    "linear positions": {
        "architecture": "Qwen3ForCausalLM", "config": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    },
    "yarn positions": {
        "architecture": "Qwen2ForCausalLM",
        "config": {
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128},
            "max_position_embeddings": 512,
        },
    },
    "Gemma 3, positions as newer files say them": {
        "architecture": "Gemma3ForCausalLM",
        "config": {
            "rope_theta": None, "rope_local_base_freq": None, "sliding_window_pattern": None, "final_logit_softcapping": 4.0,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    },
    "Gemma 3 without windows": {
        "architecture": "Gemma3ForCausalLM",
        "config": {"sliding_window_pattern": 1, "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    },
    "Gemma 3 of windows only": {"architecture": "Gemma3ForCausalLM", "config": {"sliding_window_pattern": 6}},
    "Phi 3, beyond its first length": {
        "architecture": "Phi3ForCausalLM", "config": {"original_max_position_embeddings": 32},
    },
    "Phi 3, part of each head turned": {
        "architecture": "Phi3ForCausalLM", "config": {"rope_scaling": None, "partial_rotary_factor": 0.5, "sliding_window": 512},
    },
}  # fmt: skip


def logits_of(path: Path, tokens: list[int]) -> npt.NDArray[np.float64]:
    """After each token but the last, with a cache in full precision."""
    settings = EngineSettings(vetting="never", kv_type="f32", flash_attention="off")
    model = LoadedModel(path, settings)
    try:
        with Scorer(model, settings, len(tokens)) as scorer:
            return np.asarray([row for _, row in scorer.rows(Window(np.asarray(tokens, np.int32), 1))])
    finally:
        model.release()


def bound(case: str) -> float:
    """llama.cpp looks Gemma's activation up in a table of half precision."""
    return 0.01 if CASES[case]["architecture"].startswith("Gemma") else 0.002


def made(folder: Path, manager: LocalModelManager, **options: Any) -> Path:
    model = convert(folder, manager=manager, **options)
    assert model.path is not None
    return model.path


@pytest.mark.parametrize("case", CASES)
def test_a_family_has_the_logits_that_transformers_has(case: str, manager: LocalModelManager, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", **CASES[case])
    found = logits_of(made(folder, manager, type="F32"), TOKENS)
    expected = np.asarray(json.loads(EXPECTED.read_text("utf-8"))[case])
    assert np.abs(found[:, COLUMNS] - expected).max() < bound(case) * expected.std()


TORCH = Path(os.environ.get("PARLANT_LOCAL_TORCH", REPOSITORY / ".venv-train")) / "bin" / "python"


@pytest.mark.evidence
@pytest.mark.skipif(not TORCH.exists(), reason="an environment with torch")
def test_logits_are_those_of_transformers(manager: LocalModelManager, tmp_path: Path) -> None:
    import transformers

    stored, lines = {}, []
    places = os.pathsep.join([str(Path(transformers.__file__).parents[1])])
    folders = {case: write_model(tmp_path / str(at), **spec) for at, (case, spec) in enumerate(CASES.items())}
    script: list[str | Path] = [
        TORCH,
        Path(__file__).with_name("transformers_logits.py"),
        ",".join(map(str, TOKENS)),
        *folders.values(),
    ]
    done = subprocess.run(script, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": places})
    for (case, folder), line in zip(folders.items(), done.stdout.splitlines(), strict=True):
        expected = np.asarray(json.loads(line))[:-1]
        found = logits_of(made(folder, manager, type="F32"), TOKENS)
        difference = float(np.abs(found - expected).max())
        assert difference < bound(case) * expected.std(), case
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).all(), case
        stored[case] = np.round(expected[:, COLUMNS], 4).tolist()
        lines.append((case, f"{difference:.2g}", f"{expected.std():.2f}"))
    EXPECTED.write_text(json.dumps(stored) + "\n", "utf-8")
    write_section(
        REPOSITORY / "docs" / "evidence" / "workshop.md",
        "Converted models against transformers",
        table(("model", "largest difference of a logit", "logits' standard deviation"), lines),
        command="pytest tests/workshop/test_converting.py -m evidence",
    )


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("type", CONVERSIONS)
def test_weights_are_what_their_type_makes_of_them(
    type: str, dtype: str, manager: LocalModelManager, tmp_path: Path
) -> None:
    from gguf import GGUFReader, dequantize

    model = convert(write_model(tmp_path / "m", "Qwen3ForCausalLM", dtype=dtype), type=type.lower(), manager=manager)
    plain = convert(write_model(tmp_path / "m", "Qwen3ForCausalLM"), type="F32", name="plain", manager=manager)
    assert model.path is not None
    assert plain.path is not None
    assert model.quantization == type
    exact = {each.name: np.asarray(each.data) for each in GGUFReader(plain.path).tensors}
    bounds = {"F32": 0.0, "F16": 1e-3, "BF16": 8e-3, "Q8_0": 8e-3}
    for each in GGUFReader(model.path).tensors:
        assert each.tensor_type.name == ("F32" if len(each.shape) < 2 else type)
        found, wanted = dequantize(each.data, each.tensor_type).reshape(-1), exact[each.name].reshape(-1)
        largest = np.abs(wanted).max()
        assert np.abs(found - wanted).max() <= (bounds[type] + bounds[dtype]) * largest, each.name


def test_bf16_rounds_to_the_nearest_and_ties_to_even() -> None:
    numbers = np.array([1.0, 1.00390625, 1.01171875, -0.0, np.inf, np.nan, 3.3895314e38], np.float32)
    halves = np.frombuffer(as_bf16(numbers), "<u2").astype(np.uint32) << 16
    back = halves.view(np.float32)
    assert back[:5].tolist() == [1.0, 1.0, 1.015625, -0.0, np.inf]
    assert np.isnan(back[5])


def test_shards_give_what_one_file_gives(manager: LocalModelManager, tmp_path: Path) -> None:
    one = write_model(tmp_path / "one", "LlamaForCausalLM")
    several = write_model(tmp_path / "several", "LlamaForCausalLM", shards=3)
    whole, parts = convert(one, manager=manager), convert(several, manager=manager)
    assert whole.path is not None
    assert parts.path is not None
    assert tensors(whole.path) == tensors(parts.path)
    assert parts.made is not None
    assert parts.made.digests == tuple(sha256_file(each) for each in sorted(several.glob("*.safetensors")))
    assert parts.made.sources == (str(several),)


@pytest.mark.parametrize("rule", [*RULES, PIECES, GEMMA_PIECES])
def test_a_vocabulary_makes_the_tokens_of_its_own_tokenizer(
    rule: str, manager: LocalModelManager, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer

    folder = write_model(tmp_path / "m", "LlamaForCausalLM", rule=rule)
    path = made(folder, manager)
    header = read_header(path)
    assert header.text("tokenizer.ggml.pre") == ("default" if "pieces" in rule else rule)
    original = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = LoadedModel(path, EngineSettings(vetting="never"), vocabulary_only=True)
    try:
        for text in (
            "a  b     c\n\n\nthe",
            "the customer, and the agent!",
            "Hello  world\n12345 don't 'RE",
            "ação 🦙\t\t x",
            "",
            " ",
        ):
            assert model.tokenize(text) == original.encode(text, add_special_tokens=False).ids, text
        assert model.add_bos == ("pieces" in rule)
        assert model.chat_template is not None
    finally:
        model.release()


UNKNOWN_RULE = {"type": "Split", "pattern": {"Regex": "[a-z]+"}, "behavior": "Isolated", "invert": False}


def changed(folder: Path, file: str, **values: Any) -> None:
    stored = json.loads((folder / file).read_text("utf-8"))
    (folder / file).write_text(json.dumps(stored | values), "utf-8")


@pytest.mark.parametrize(
    ("file", "values", "what"),
    [
        ("config.json", {"architectures": ["FancyForCausalLM"]}, "FancyForCausalLM of a family"),
        ("config.json", {"architectures": None}, "of a family"),
        ("config.json", {"hidden_act": "gelu"}, "hidden_act"),
        ("config.json", {"num_hidden_layers": 3}, "lack what becomes blk.2"),
        ("config.json", {"num_hidden_layers": 1}, "has no place"),
        ("config.json", {"vocab_size": 900}, "embeddings have 900 rows"),
        ("config.json", {"rope_scaling": {"rope_type": "longrope"}}, "'longrope'"),
        ("config.json", {"num_attention_heads": 0}, "num_attention_heads"),
        ("tokenizer.json", {"pre_tokenizer": UNKNOWN_RULE}, "not known: {'type': 'Split'"),
        ("tokenizer.json", {"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}}, "'Unigram'"),
    ],
)
def test_what_is_not_known_is_refused_by_name(
    file: str, values: dict[str, Any], what: str, manager: LocalModelManager, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "m", "LlamaForCausalLM")
    changed(folder, file, **values)
    with pytest.raises(InvalidModelError) as caught:
        convert(folder, manager=manager)
    assert what in str(caught.value)
    assert not list(manager.models_dir.rglob("*.gguf"))
    assert left_in(manager.models_dir) == []


@pytest.mark.parametrize(
    ("architecture", "values", "what"),
    [
        ("Gemma3ForConditionalGeneration", {}, "Gemma3ForConditionalGeneration of a family"),
        ("Gemma2ForCausalLM", {"query_pre_attn_scalar": 64}, "query_pre_attn_scalar is 64"),
        ("Gemma3ForCausalLM", {"query_pre_attn_scalar": None}, "query_pre_attn_scalar is 256"),
        ("Gemma2ForCausalLM", {"attn_logit_softcapping": None}, "no attn_logit_softcapping"),
        ("Gemma3ForCausalLM", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ("Gemma2ForCausalLM", {"sliding_window": None}, "no layers with a sliding_window"),
        ("Gemma2ForCausalLM", {"sliding_window_pattern": 1}, "no layers with a sliding_window"),
        ("Gemma2ForCausalLM", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ("Gemma2ForCausalLM", {"hidden_activation": "gelu"}, "hidden_act is 'gelu'"),
        ("Gemma2ForCausalLM", {"tie_word_embeddings": False}, "lack what becomes output.weight"),
        ("GemmaForCausalLM", {"attention_bias": True}, "attention_bias"),
        ("Gemma3ForCausalLM", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        (
            "Gemma3ForCausalLM",
            {"rope_parameters": {"full_attention": {}, "sliding_attention": {"rope_type": "linear", "factor": 2.0}}},
            "in its windows are scaled by 'linear'",
        ),
        ("Phi3ForCausalLM", {"head_dim": 32, "rope_scaling": None}, "heads of 32"),
        ("Phi3ForCausalLM", {"attention_bias": True}, "attention_bias"),
        ("Phi3ForCausalLM", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic'"),
        (
            "Phi3ForCausalLM",
            {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}},
            "1 factors for 8 frequencies",
        ),
        (
            "LlamaForCausalLM",
            {"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [1.0] * 8}},
            "'longrope'",
        ),
        (
            "Qwen2ForCausalLM",
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5}},
            "attention_factor 1.5",
        ),
        ("Qwen3ForCausalLM", {"use_sliding_window": True}, "use_sliding_window"),
    ],
)
def test_a_peculiarity_that_llama_cpp_does_not_compute_is_refused_by_name(
    architecture: str, values: dict[str, Any], what: str, tmp_path: Path
) -> None:
    known = architecture if architecture in FAMILIES else "Gemma3ForCausalLM"
    folder = write_model(tmp_path / "m", known)
    changed(folder, "config.json", architectures=[architecture], **values)
    with pytest.raises(InvalidModelError) as caught:
        convert_decoder(folder, tmp_path / "m.gguf", name="m")
    assert what in str(caught.value)


@pytest.mark.parametrize("architecture", ["Phi3ForCausalLM", "MistralForCausalLM"])
def test_a_window_is_the_context_where_llama_cpp_has_none(architecture: str, tmp_path: Path) -> None:
    for window, context in ((128, 128), (None, None), (4096, None)):
        folder = write_model(tmp_path / "m", architecture, config={"sliding_window": window})
        convert_decoder(folder, tmp_path / "m.gguf", name="m")
        trained = json.loads((folder / "config.json").read_text("utf-8"))["max_position_embeddings"]
        assert read_header(tmp_path / "m.gguf").context_length == (context or trained)


def test_a_vocabulary_that_llama_cpp_would_cut_otherwise_is_refused(manager: LocalModelManager, tmp_path: Path) -> None:
    """Its rule is known, but something else in it is not: the model would work, only worse."""
    folder = write_model(tmp_path / "m", "Qwen2ForCausalLM", rule="qwen2")
    stored = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    for change in ({"normalizer": {"type": "Lowercase"}}, {"model": stored["model"] | {"ignore_merges": True}}):
        (folder / "tokenizer.json").write_text(json.dumps(stored | change), "utf-8")
        with pytest.raises(InvalidModelError, match="other tokens"):
            convert(folder, manager=manager)
    assert not list(manager.models_dir.rglob("*.gguf"))


@pytest.mark.parametrize("index", ['{"weight_map": {"a": "../m.safetensors"}}', '{"weight_map": []}', "[", "{}"])
def test_an_index_leads_nowhere_else(index: str, manager: LocalModelManager, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", "LlamaForCausalLM")
    (folder / "model.safetensors.index.json").write_text(index, "utf-8")
    with pytest.raises(InvalidModelError, match="index"):
        convert(folder, manager=manager)


def test_files_that_are_missing_are_named(manager: LocalModelManager, tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        folder = write_model(tmp_path / name, "LlamaForCausalLM")
        (folder / name).unlink()
        with pytest.raises(InvalidModelError, match=name.replace(".", r"\.")):
            convert(folder, manager=manager)
    with pytest.raises(ModelNotFoundError, match="no folder"):
        convert("./nowhere", manager=manager)
    with pytest.raises(BadRequestError, match="Q4_K_M"):
        convert(tmp_path / "config.json", type="Q4_K_M", manager=manager)
    for name, what in (("some.gguf", "is a GGUF"), ("some.txt", "is a file")):
        (tmp_path / name).write_text("x", "utf-8")
        with pytest.raises(BadRequestError, match=what):
            convert(tmp_path / name, manager=manager)


def test_a_cancelled_conversion_leaves_nothing(manager: LocalModelManager, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", "LlamaForCausalLM")
    control = Control(lambda moment: control.cancel() if moment.done == 3 else None)
    with pytest.raises(JobCancelledError):
        convert(folder, manager=manager, control=control)
    assert not list(manager.models_dir.rglob("*.gguf"))
    assert left_in(manager.models_dir) == []


def test_a_repository_of_the_hub_is_converted(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "m", "Qwen3ForCausalLM", shards=2)
    with FakeHub() as hub:
        hub.add("Someone/Some-Model", {each.name: each for each in sorted(folder.iterdir())})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        manager = LocalModelManager(settings=Settings(home=home))
        model = convert("Someone/Some-Model", manager=manager)
    assert model.name == "Some-Model-f16"
    assert model.made is not None
    assert model.made.sources == ("hf.co/Someone/Some-Model",)
    again = LocalModelManager(settings=Settings(home=home), offline=True)
    convert("Someone/Some-Model", name="again", manager=again)
    with pytest.raises(ModelNotFoundError, match="cache"):
        convert("Someone/Other", manager=again)


def test_the_verb_converts_a_folder(verb: Verb, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine", "LlamaForCausalLM")
    code, out, err = verb("convert", str(folder), "--type", "q8_0", "--quiet")
    assert (code, err) == (0, "")
    assert "mine-q8_0 is available" in out
