"""A tiny BERT in safetensors, converted, read by others and run by the engine."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from parlant_local.backends.registry import create_backend
from parlant_local.conversion import convert_bert, read_safetensors
from parlant_local.errors import InvalidModelError
from parlant_local.gguf_info import read_header, sha256_file
from tests.support.bert_reference import bert_vector, cosine

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "return",
    "book",
    "##s",
    "cafe",
    "the",
    "!",
    "un",
    "##able",
    "日",
]
WIDTH, LAYERS, HEADS, INNER, POSITIONS = 64, 2, 4, 128, 64
SAID = {
    "Return the books!": [2, 5, 9, 6, 7, 10, 3],
    "the CAFÉ unable 日": [2, 9, 8, 11, 12, 13, 3],
    "book nonsense": [2, 6, 1, 3],
}


def write_safetensors(path: Path, tensors: dict[str, npt.NDArray[Any]], types: dict[str, str] | None = None) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, tensor in tensors.items():
        kind = (types or {}).get(
            name, {"float32": "F32", "float16": "F16", "int64": "I64"}.get(str(tensor.dtype), "F32")
        )
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    random = np.random.default_rng(7)

    def drawn(*shape: int) -> npt.NDArray[np.float32]:
        return random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)

    tensors: dict[str, npt.NDArray[Any]] = {
        "embeddings.position_ids": np.arange(POSITIONS, dtype=np.int64)[None],
        "embeddings.word_embeddings.weight": drawn(len(PIECES), WIDTH),
        "embeddings.position_embeddings.weight": drawn(POSITIONS, WIDTH) / 4,
        "embeddings.token_type_embeddings.weight": drawn(2, WIDTH) / 4,
    }
    shapes = {
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (INNER, WIDTH),
        "output.dense": (WIDTH, INNER),
    }
    shapes |= {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        for part, shape in shapes.items():
            tensors |= {f"{name}{part}.weight": 2 * drawn(*shape), f"{name}{part}.bias": drawn(shape[0])}
        norms += [f"{name}attention.output.LayerNorm", f"{name}output.LayerNorm"]
    for norm in norms:
        tensors |= {f"{norm}.weight": 1 + drawn(WIDTH), f"{norm}.bias": drawn(WIDTH)}
    folder = tmp_path / "published"
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", tensors)
    config = {
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "type_vocab_size": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    return folder


def write_tokenizer(folder: Path, pieces: list[str] = PIECES, **changes: Any) -> None:
    tokenizer = {
        "model": {"type": "WordPiece", "vocab": {piece: number for number, piece in enumerate(pieces)}},
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "added_tokens": [{"content": piece, "special": True} for piece in pieces[:5]],
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | changes))


@pytest.mark.parametrize(
    ("matrices", "vocabulary", "least"), [("F32", "F32", 0.99999), ("F16", "Q8_0", 0.999), ("Q8_0", "Q8_0", 0.995)]
)
async def test_the_engine_gives_the_reference_vectors(
    published: Path, tmp_path: Path, matrices: str, vocabulary: str, least: float
) -> None:
    target = tmp_path / "m.gguf"
    convert_bert(published, target, name="tiny", matrices=matrices, vocabulary=vocabulary)
    weights = read_safetensors(published / "model.safetensors")
    backend = create_backend("llamacpp", model_path=target)
    vectors = (await backend.embed(list(SAID))).vectors
    await backend.close()
    for vector, tokens in zip(vectors, SAID.values(), strict=True):
        assert cosine(vector, bert_vector(weights, tokens, HEADS)) > least


def test_others_read_it_and_its_bytes_are_always_the_same(published: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        convert_bert(published, tmp_path / name, name="tiny", license="mit", languages=("en",))
    assert sha256_file(tmp_path / "one") == sha256_file(tmp_path / "two")
    header = read_header(tmp_path / "one")
    assert (header.architecture, header.pooling, header.embedding_length, header.is_embedding) == (
        "bert",
        "mean",
        64,
        True,
    )
    assert header.metadata["general.languages"] == ("en",)
    reader = gguf.GGUFReader(tmp_path / "one")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["tokenizer.ggml.tokens"] == [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "▁return",
        "▁book",
        "s",
        "▁cafe",
        "▁the",
        "▁!",
        "▁un",
        "able",
        "▁日",
    ]
    assert fields["tokenizer.ggml.token_type"] == [3] * 5 + [1] * 9
    assert fields["general.license"] == "mit"
    weights = read_safetensors(published / "model.safetensors")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    words = weights["embeddings.word_embeddings.weight"]
    assert np.array_equal(
        tensors["token_embd.weight"].data, gguf.quants.quantize(words, gguf.GGMLQuantizationType.Q8_0)
    )
    query = weights["encoder.layer.1.attention.self.query.weight"]
    assert np.array_equal(tensors["blk.1.attn_q.weight"].data, query.astype(np.float16))
    assert (
        tensors["position_embd.weight"].tensor_type
        == tensors["blk.0.ffn_up.bias"].tensor_type
        == gguf.GGMLQuantizationType.F32
    )


def test_eight_bits_as_llama_cpp_has_them() -> None:
    from parlant_local.conversion.quantizing import as_q8_0

    random = np.random.default_rng(1)
    values = random.normal(size=(64, 96)).astype(np.float32)
    values[0] = 0
    values[1, :32] = np.arange(32) - 15.5  # halves
    values[2] = 1e-30
    values[3, 0] = 6e4
    wanted = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    assert as_q8_0(values) == wanted.tobytes()


def test_other_number_types(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    path = tmp_path / "m.safetensors"
    tensors = {"f": values, "h": values.astype(np.float16), "b": halves, "i": np.array([1, 2], np.int64)}
    write_safetensors(path, tensors, {"b": "BF16"})
    found = read_safetensors(path)
    assert found.keys() == {"f", "h", "b"}
    for tensor in found.values():
        assert tensor.dtype == np.float32
        assert np.array_equal(tensor, values)


def _raw(header: object, data: bytes = b"\0" * 16, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(**changes: Any) -> dict[str, Any]:
    return {"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | changes}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1\0\0",
        _raw({}, length=2**63),
        _raw({}, length=10_000),
        _raw(b"not json"),
        _raw([]),
        _raw({"x": 5}),
        _raw(_entry(dtype="F8_E5M2")),
        _raw(_entry(dtype=None)),
        _raw(_entry(shape=[2, 3])),
        _raw(_entry(shape=[-2, -2])),
        _raw(_entry(shape=[2**52, 2**52])),
        _raw(_entry(shape=[1] * 9)),
        _raw(_entry(data_offsets=[0, 17])),
        _raw(_entry(data_offsets=[16, 32])),
        _raw(_entry(data_offsets=[16, 0])),
        _raw(_entry(data_offsets=[-16, 0])),
        _raw(_entry(), b""),
        _raw(b"[" * 100_000),
    ],
    ids=lambda data: f"{len(data)} bytes {zlib.crc32(data)}",
)
def test_hostile_safetensors(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(InvalidModelError, match=r"m\.safetensors"):
        read_safetensors(path)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"model": {"type": "Unigram", "vocab": [["a", 0.1]]}}, "not a WordPiece"),
        ({"model": {"vocab": {"[CLS]": 5}}}, "not a WordPiece"),
        ({"normalizer": None}, "not a WordPiece"),
        ({"normalizer": {"lowercase": False}}, "distinguishes cases"),
        ({"model": {"vocab": {piece: 2 * number for number, piece in enumerate(PIECES)}}}, "has gaps"),
    ],
)
def test_other_tokenizers(published: Path, tmp_path: Path, changes: dict[str, Any], wanted: str) -> None:
    write_tokenizer(published, **changes)
    with pytest.raises(InvalidModelError, match=wanted):
        convert_bert(published, tmp_path / "m.gguf", name="tiny")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_and_damaged_files(published: Path, tmp_path: Path, name: str) -> None:
    (published / name).write_text('{"hidden_size": "wide"}')
    with pytest.raises(InvalidModelError):
        convert_bert(published, tmp_path / "m.gguf", name="tiny")
    (published / name).unlink()
    with pytest.raises(InvalidModelError):
        convert_bert(published, tmp_path / "m.gguf", name="tiny")


def test_another_model(published: Path, tmp_path: Path) -> None:
    write_safetensors(published / "model.safetensors", {"roberta.x": np.zeros((2, 2), np.float32)})
    with pytest.raises(InvalidModelError, match="not a BERT encoder"):
        convert_bert(published, tmp_path / "m.gguf", name="tiny")
