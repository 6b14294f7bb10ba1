"""Models to measure with: random weights (speed does not depend on them), real sizes, Q4_K_M, made once and cached."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, PoolingType

__all__ = ["EMBEDDER", "MODELS", "Size", "model_path"]

CACHE = Path(__file__).parent / ".cache"
SHIPPED = Path(__file__).parent.parent / "src/parlant_local/models/parlant-local-tiny.gguf"
_VOCABULARY = 32_768
_Q8_0 = 7  # of llama_ftype, as the next one
_Q4_K_M = 15


@dataclass(frozen=True)
class Size:
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int


MODELS = {
    "small": Size(layers=12, width=768, heads=12, kv_heads=4, head=64, feed_forward=2560),
    "larger": Size(layers=28, width=1024, heads=16, kv_heads=8, head=128, feed_forward=3072),
}

EMBEDDER = "embedder"
"""A BERT of 33 million parameters, the size of the embedders that people run on a CPU."""
_BERT = Size(layers=12, width=384, heads=12, kv_heads=12, head=32, feed_forward=1536)
_BERT_VOCABULARY = 30_522
_BERT_CTX = 512


def model_path(name: str, vocabulary: Path = SHIPPED) -> Path:
    """The GGUF of a size, or the embedder, made on first use: half a minute for the larger one."""
    path = CACHE / (f"{name}-q8_0.gguf" if name == EMBEDDER else f"{name}-q4_k_m.gguf")
    if not path.exists():
        CACHE.mkdir(exist_ok=True)
        full = CACHE / f"{name}-f16.part"
        if name == EMBEDDER:
            _write_bert(full, _BERT)
            _quantize(full, path, _Q8_0)
        else:
            _write(full, MODELS[name], vocabulary)
            _quantize(full, path, _Q4_K_M)
        full.unlink()
    return path


def _write(path: Path, size: Size, vocabulary: Path) -> None:
    random = np.random.default_rng(7)
    writer = GGUFWriter(str(path), "llama")
    writer.add_name("benchmark")
    writer.add_context_length(32_768)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.feed_forward)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.kv_heads)
    writer.add_key_length(size.head)
    writer.add_value_length(size.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500_000.0)
    writer.add_rope_dimension_count(size.head)
    n_vocab = _copy_vocabulary(writer, vocabulary)

    def add(name: str, *shape: int, ones: bool = False) -> None:
        if ones:
            writer.add_tensor(name, np.ones(shape, dtype=np.float32))
        else:
            data = random.standard_normal(shape, dtype=np.float32) * (shape[-1] ** -0.5)
            writer.add_tensor(name, data.astype(np.float16), raw_dtype=GGMLQuantizationType.F16)

    add("token_embd.weight", n_vocab, size.width)
    add("output_norm.weight", size.width, ones=True)
    for layer in range(size.layers):
        name = f"blk.{layer}."
        add(name + "attn_norm.weight", size.width, ones=True)
        add(name + "ffn_norm.weight", size.width, ones=True)
        add(name + "attn_q.weight", size.heads * size.head, size.width)
        add(name + "attn_k.weight", size.kv_heads * size.head, size.width)
        add(name + "attn_v.weight", size.kv_heads * size.head, size.width)
        add(name + "attn_output.weight", size.width, size.heads * size.head)
        add(name + "ffn_gate.weight", size.feed_forward, size.width)
        add(name + "ffn_up.weight", size.feed_forward, size.width)
        add(name + "ffn_down.weight", size.width, size.feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_vocabulary(writer: GGUFWriter, source: Path) -> int:
    """The tokenizer of another GGUF, filled up to a real size with tokens that never occur."""
    reader = GGUFReader(str(source))
    fields = reader.fields

    def texts(key: str) -> list[str]:
        field = fields[key]
        return [bytes(field.parts[index]).decode("utf-8") for index in field.data]

    tokens = texts("tokenizer.ggml.tokens")
    types = [int(fields["tokenizer.ggml.token_type"].parts[i][0]) for i in fields["tokenizer.ggml.token_type"].data]
    fillers = max(0, _VOCABULARY - len(tokens))
    writer.add_tokenizer_model(texts("tokenizer.ggml.model")[0])
    if "tokenizer.ggml.pre" in fields:
        writer.add_tokenizer_pre(texts("tokenizer.ggml.pre")[0])
    writer.add_token_list(tokens + [f"<filler{index}>" for index in range(fillers)])
    writer.add_token_types(types + [5] * fillers)
    if "tokenizer.ggml.scores" in fields:
        scores = [float(fields["tokenizer.ggml.scores"].parts[i][0]) for i in fields["tokenizer.ggml.scores"].data]
        writer.add_token_scores(scores + [-1e9] * fillers)
    if "tokenizer.ggml.merges" in fields:
        writer.add_token_merges(texts("tokenizer.ggml.merges"))
    for key in ("bos", "eos", "eot", "padding"):
        name = f"tokenizer.ggml.{key}_token_id"
        if name in fields:
            writer.add_uint32(name, int(fields[name].parts[fields[name].data[0]][0]))
    writer.add_add_bos_token(False)
    if "tokenizer.chat_template" in fields:
        writer.add_chat_template(texts("tokenizer.chat_template")[0])
    writer.add_vocab_size(len(tokens) + fillers)
    return len(tokens) + fillers


def _write_bert(path: Path, size: Size) -> None:
    from benchmarks.workloads import vocabulary_words

    random = np.random.default_rng(11)
    writer = GGUFWriter(str(path), "bert")
    writer.add_name("benchmark")
    writer.add_context_length(_BERT_CTX)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.feed_forward)
    writer.add_head_count(size.heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.MEAN)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += ["\u2581" + word for word in vocabulary_words()]  # a word is a token: lengths are those of the texts
    fillers = [f"[unused{index}]" for index in range(_BERT_VOCABULARY - len(tokens))]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(tokens + fillers)
    writer.add_token_types([3] * 5 + [1] * (len(tokens) - 5) + [5] * len(fillers))
    writer.add_token_type_count(2)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_unk_token_id(1)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(4)
    writer.add_vocab_size(_BERT_VOCABULARY)

    def matrix(name: str, *shape: int) -> None:
        data = random.standard_normal(shape, dtype=np.float32) * (shape[-1] ** -0.5)
        writer.add_tensor(name, data.astype(np.float16), raw_dtype=GGMLQuantizationType.F16)

    def vector(name: str, length: int, value: float) -> None:
        writer.add_tensor(name, np.full(length, value, dtype=np.float32))

    matrix("token_embd.weight", _BERT_VOCABULARY, size.width)
    writer.add_tensor("token_types.weight", np.zeros((2, size.width), dtype=np.float32))
    writer.add_tensor(
        "position_embd.weight", random.standard_normal((_BERT_CTX, size.width), dtype=np.float32) * np.float32(0.02)
    )
    vector("token_embd_norm.weight", size.width, 1)
    vector("token_embd_norm.bias", size.width, 0)
    for layer in range(size.layers):
        name = f"blk.{layer}."
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{name}{part}.weight", size.width, size.width)
            vector(f"{name}{part}.bias", size.width, 0)
        matrix(name + "ffn_up.weight", size.feed_forward, size.width)
        vector(name + "ffn_up.bias", size.feed_forward, 0)
        matrix(name + "ffn_down.weight", size.width, size.feed_forward)
        vector(name + "ffn_down.bias", size.width, 0)
        for part in ("attn_output_norm", "layer_output_norm"):
            vector(f"{name}{part}.weight", size.width, 1)
            vector(f"{name}{part}.bias", size.width, 0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _quantize(source: Path, target: Path, kind: int) -> None:
    import llama_cpp as lib  # the reference build, which can quantize

    params = lib.llama_model_quantize_default_params()
    params.ftype = kind
    params.nthread = 0
    partial = target.with_suffix(".part")
    if lib.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params)) != 0:
        raise RuntimeError(f"llama.cpp could not quantize {source.name}.")
    partial.rename(target)
