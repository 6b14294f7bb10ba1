"""Small models as their makers publish them, config, tokenizer and safetensors in a folder, with random weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.gguf_models import CHAT_TEMPLATE, SPECIALS, _vocabulary

__all__ = ["FAMILIES", "GEMMA_PIECES", "PIECES", "RULES", "save_safetensors", "write_model"]

FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "LlamaForCausalLM": {
        "model_type": "llama",
        "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "MistralForCausalLM": {"model_type": "mistral", "head_dim": 32, "sliding_window": None},
    "Qwen2ForCausalLM": {"model_type": "qwen2", "tie_word_embeddings": True},
    "Qwen3ForCausalLM": {"model_type": "qwen3", "head_dim": 32},
    "GemmaForCausalLM": {
        "model_type": "gemma", "head_dim": 32, "hidden_act": "gelu", "hidden_activation": None, "tie_word_embeddings": True,
    },
    "Gemma2ForCausalLM": {
        "model_type": "gemma2", "head_dim": 32, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
        "query_pre_attn_scalar": 32, "sliding_window": 16, "attn_logit_softcapping": 20.0, "final_logit_softcapping": 5.0,
    },
    "Gemma3ForCausalLM": {
        "model_type": "gemma3_text", "head_dim": 32, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True,
        "query_pre_attn_scalar": 32, "sliding_window": 16, "sliding_window_pattern": 2, "num_hidden_layers": 4,
        "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
    },
    "Phi3ForCausalLM": {
        "model_type": "phi3", "sliding_window": None, "pad_token_id": 0, "max_position_embeddings": 1024,
        "original_max_position_embeddings": 512,
        "rope_scaling": {
            "type": "longrope", "short_factor": [1 + at / 16 for at in range(8)], "long_factor": [2.0 + at for at in range(8)],
        },
    },
}  # fmt: skip
"""What each has in its configuration besides."""

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_END = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _byte_level(regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}


def _split(pattern: str) -> dict[str, Any]:
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, _byte_level(False)]}


RULES: Mapping[str, dict[str, Any]] = {
    "llama-bpe": _split(_WORDS + r"\p{N}{1,3}" + _END),
    "qwen2": _split(_WORDS + r"\p{N}" + _END),
    "gpt-2": _byte_level(True),
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, _byte_level(True)],
    },
}
PIECES = "pieces"
"""Instead of a rule: characters with bytes to fall back on."""
GEMMA_PIECES = "gemma's pieces"
"""The same, with no space before a text, and runs of spaces and line breaks as tokens of their own."""


def write_model(
    folder: Path,
    architecture: str,
    *,
    rule: str = "llama-bpe",
    seed: int = 0,
    size: int = 1024,
    shards: int = 1,
    dtype: str = "F32",
    config: Mapping[str, Any] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "architectures": [architecture], "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 512,
        "vocab_size": size, "hidden_act": "silu", "tie_word_embeddings": False, "rope_theta": 10000.0,
        "torch_dtype": "float32", **FAMILIES.get(architecture, {}), **(config or {}),
    }  # fmt: skip
    _put(folder / "config.json", settings)
    _put(
        folder / "tokenizer.json",
        _pieces(size, gemma=rule == GEMMA_PIECES) if "pieces" in rule else _bytes(size, RULES[rule]),
    )
    ends = ("<s>", "</s>") if "pieces" in rule else (SPECIALS[0], SPECIALS[2])
    _put(
        folder / "tokenizer_config.json",
        {"bos_token": ends[0], "eos_token": {"content": ends[1]}, "chat_template": CHAT_TEMPLATE,
         "tokenizer_class": "PreTrainedTokenizerFast"},
    )  # fmt: skip
    weights = _weights(settings, np.random.default_rng(seed))
    names = list(weights)
    if shards == 1:
        save_safetensors(folder / "model.safetensors", weights, dtype)
        return folder
    placed = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number::shards]
        save_safetensors(folder / file, {name: weights[name] for name in part}, dtype)
        placed |= dict.fromkeys(part, file)
    _put(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": placed})
    return folder


def save_safetensors(path: Path, weights: Mapping[str, npt.NDArray[np.float32]], dtype: str = "F32") -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name, values in weights.items():
        if dtype == "BF16":
            data = (values.astype("<f4").view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            data = values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def _weights(config: Mapping[str, Any], random: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or width // config["num_attention_heads"]
    kind = config["model_type"]

    def drawn(*shape: int) -> npt.NDArray[np.float32]:
        return random.normal(0, 1.4 / np.sqrt(shape[-1]), shape).astype(np.float32)

    def norm(size: int) -> npt.NDArray[np.float32]:
        least = -0.5 if kind.startswith("gemma") else 0.5
        return random.uniform(least, least + 1, size).astype(np.float32)

    weights = {"model.embed_tokens.weight": drawn(config["vocab_size"], width), "model.norm.weight": norm(width)}
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = drawn(config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        part = f"model.layers.{layer}."
        weights[part + "input_layernorm.weight"] = norm(width)
        weights[part + "post_attention_layernorm.weight"] = norm(width)
        if kind == "phi3":
            both = (config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * head
            weights[part + "self_attn.qkv_proj.weight"] = drawn(both, width)
            weights[part + "self_attn.o_proj.weight"] = drawn(width, width)
            weights[part + "mlp.gate_up_proj.weight"] = drawn(2 * inner, width)
            weights[part + "mlp.down_proj.weight"] = drawn(width, inner)
            continue
        if kind in ("gemma2", "gemma3_text"):
            weights[part + "pre_feedforward_layernorm.weight"] = norm(width)
            weights[part + "post_feedforward_layernorm.weight"] = norm(width)
        for name, heads in (("q", "num_attention_heads"), ("k", "num_key_value_heads"), ("v", "num_key_value_heads")):
            weights[f"{part}self_attn.{name}_proj.weight"] = drawn(config[heads] * head, width)
            if kind == "qwen2" or config.get("attention_bias"):
                weights[f"{part}self_attn.{name}_proj.bias"] = drawn(config[heads] * head)
        weights[part + "self_attn.o_proj.weight"] = drawn(width, config["num_attention_heads"] * head)
        if config.get("attention_bias"):
            weights[part + "self_attn.o_proj.bias"] = drawn(width)
        if kind in ("qwen3", "gemma3_text"):
            weights[part + "self_attn.q_norm.weight"] = norm(head)
            weights[part + "self_attn.k_norm.weight"] = norm(head)
        weights[part + "mlp.gate_proj.weight"] = drawn(inner, width)
        weights[part + "mlp.up_proj.weight"] = drawn(inner, width)
        weights[part + "mlp.down_proj.weight"] = drawn(width, inner)
    return weights


def _bytes(size: int, rule: Mapping[str, Any]) -> dict[str, Any]:
    tokens, _, merges = _vocabulary(size)
    added = [_added(number, text, text not in SPECIALS[3:]) for number, text in enumerate(tokens) if text in SPECIALS]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": rule, "post_processor": None, "decoder": _byte_level(True),
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": rule == RULES["llama-bpe"],
            "vocab": {text: number for number, text in enumerate(tokens) if text not in SPECIALS}, "merges": merges,
        },
    }  # fmt: skip


def _pieces(size: int, *, gemma: bool = False) -> dict[str, Any]:
    """As Llama 2, Mistral and Phi-3 have it, or Gemma."""
    ends = ["<unk>", "<s>", "</s>"]
    tokens = [*ends, *(f"<0x{byte:02X}>" for byte in range(256))]
    merges, made = [], []
    for word in ("the", "and", "customer", "agent", "order", "world", "Hello"):
        piece = "▁"
        for letter in word:
            if piece + letter not in made:
                merges.append(f"{piece} {letter}")
                made.append(piece + letter)
            piece += letter
    letters = ["▁", *map(chr, range(33, 127)), *"áãçõéíóú"]
    runs = ["\n", "\n\n", "▁▁", "▁▁▁▁", "<unused0>"] if gemma else []
    merges = ["\n \n", "▁ ▁", "▁▁ ▁▁", *merges] if gemma else merges  # runs come first
    own = range(len(tokens), len(tokens) + len(runs))
    tokens += [*runs, *made, *letters]
    tokens += [f"<filler{number}>" for number in range(size - len(tokens))]
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            *(_added(number, text, True) for number, text in enumerate(ends)), *(_added(at, tokens[at], False) for at in own),
        ],
        "normalizer": space if gemma else {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False,
        } if gemma else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": None,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {text: number for number, text in enumerate(tokens)}, "merges": merges,
        },
    }  # fmt: skip


def _added(number: int, text: str, special: bool) -> dict[str, Any]:
    return {
        "id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
        "special": special,
    }  # fmt: skip


def _put(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
