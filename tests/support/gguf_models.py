"""Small GGUF models with random weights, of several architectures, written on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, PoolingType, TokenType

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WORDS = (
    "the quick brown fox jumps over lazy dog customer agent guideline condition action applies rationale response "
    "message true false null content is and of to in that for on with as this not be are at or from"
)


FILLS = ("fim_pre", "fim_suf", "fim_mid", "fim_rep", "fim_sep")
"""Tokens for filling in, of vocabularies made with ``fills``: named in the metadata only, as ``<fill pre>`` and so on."""


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return [letters[byte] for byte in range(256)]


def _vocabulary(size: int) -> tuple[list[str], list[int], list[str]]:
    """Byte-level BPE: 256 bytes, merges that build common words, fillers up to ``size``, then the special tokens."""
    tokens = _byte_letters()
    known, merges = set(tokens), []
    for word in _WORDS.split():
        for spelled in (word, "\u0120" + word):
            piece = spelled[0]
            for letter in spelled[1:]:
                if piece + letter not in known:
                    merges.append(f"{piece} {letter}")
                    known.add(piece + letter)
                    tokens.append(piece + letter)
                piece += letter
    while len(tokens) < size - len(SPECIALS):
        tokens.append(f"<filler{len(tokens)}>")
    types = [TokenType.NORMAL if not t.startswith("<filler") else TokenType.UNUSED for t in tokens]
    tokens += SPECIALS
    types += [TokenType.CONTROL] * 3 + [TokenType.USER_DEFINED] * 2
    return tokens, [int(kind) for kind in types], merges


class _Model:
    """A writer that draws its tensors as they are added."""

    def __init__(self, path: Path, arch: str, *, seed: int, width: int, layers: int, heads: int, n_ctx: int) -> None:
        self.path, self.arch = path, arch
        self.width, self.layers, self.heads = width, layers, heads
        self.random = np.random.default_rng(seed)
        self.writer = GGUFWriter(str(path), arch)
        self.writer.add_name(f"random-{arch}")
        self.writer.add_context_length(n_ctx)
        self.writer.add_embedding_length(width)
        self.writer.add_block_count(layers)
        self.writer.add_file_type(0)

    def tensor(self, name: str, *shape: int, scale: float | None = None, ones: bool = False) -> None:
        if ones:
            data = np.ones(shape, dtype=np.float32)
        else:
            spread = scale if scale is not None else 1.4 / np.sqrt(shape[-1])
            data = self.random.normal(0, spread, shape).astype(np.float32)
        self.writer.add_tensor(name, data, raw_dtype=GGMLQuantizationType.F32)

    def vocabulary(self, size: int, template: str | None = CHAT_TEMPLATE, fills: int = 0) -> None:
        """``fills``: how many of :data:`FILLS` it has."""
        tokens, types, merges = _vocabulary(size)
        writer = self.writer
        for number, name in enumerate(FILLS[:fills]):
            place = len(tokens) - len(SPECIALS) - fills + number
            tokens[place], types[place] = f"<fill {name[4:]}>", int(TokenType.CONTROL)
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", place)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        writer.add_token_merges(merges)
        first = len(tokens) - len(SPECIALS)
        writer.add_bos_token_id(first)
        writer.add_eos_token_id(first + 2)
        writer.add_eot_token_id(first + 2)
        writer.add_add_bos_token(False)
        if template is not None:
            writer.add_chat_template(template)
        writer.add_vocab_size(len(tokens))

    def sentence_pieces(self, size: int) -> None:
        """A vocabulary of pieces with scores, as SentencePiece has it, and a token for each byte."""
        words = ["\u2581" + word for word in dict.fromkeys(_WORDS.split())]
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *words]
        tokens += [letter for letter in map(chr, range(33, 127)) if letter not in tokens]
        tokens += [f"<filler{number}>" for number in range(size - len(tokens))]
        kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL, *[TokenType.BYTE] * 256]
        writer = self.writer
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores([-float(number) for number in range(len(tokens))])
        writer.add_token_types([int(kind) for kind in kinds] + [int(TokenType.NORMAL)] * (len(tokens) - len(kinds)))
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_chat_template(CHAT_TEMPLATE)
        writer.add_vocab_size(len(tokens))

    def save(self) -> Path:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()
        return self.path


def _attention_model(
    path: Path,
    arch: str,
    *,
    seed: int = 0,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    feed_forward: int = 128,
    vocabulary: int = 1024,
    n_ctx: int = 4096,
    head: int | None = None,
    tied: bool = True,
    template: str | None = CHAT_TEMPLATE,
    pieces: bool = False,
    fills: int = 0,
    pooling: PoolingType | None = None,
) -> Path:
    """``pieces``: a SentencePiece vocabulary. ``tied``: the output shares the embedding's weights; a random model then mostly repeats its last token."""
    model = _Model(path, arch, seed=seed, width=width, layers=layers, heads=heads, n_ctx=n_ctx)
    head = head or width // heads
    writer = model.writer
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500_000.0)
    writer.add_rope_dimension_count(head)
    if arch == "qwen2vl":
        writer.add_rope_dimension_sections([head // 8, head // 8, head // 4, 0])
    if pooling is not None:
        writer.add_pooling_type(pooling)
    if pieces:
        model.sentence_pieces(vocabulary)
    else:
        model.vocabulary(vocabulary, template, fills)
    model.tensor("token_embd.weight", vocabulary, width, scale=1.0)
    model.tensor("output_norm.weight", width, ones=True)
    if not tied:
        model.tensor("output.weight", vocabulary, width)
    for layer in range(layers):
        name = f"blk.{layer}."
        model.tensor(name + "attn_norm.weight", width, ones=True)
        model.tensor(name + "ffn_norm.weight", width, ones=True)
        for part, rows in (("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head)):
            model.tensor(f"{name}attn_{part}.weight", rows, width)
            if arch in ("qwen2", "qwen2vl"):
                model.tensor(f"{name}attn_{part}.bias", rows, scale=0.1)
        if arch == "qwen3":
            model.tensor(name + "attn_q_norm.weight", head, ones=True)
            model.tensor(name + "attn_k_norm.weight", head, ones=True)
        model.tensor(name + "attn_output.weight", width, heads * head)
        model.tensor(name + "ffn_gate.weight", feed_forward, width)
        model.tensor(name + "ffn_up.weight", feed_forward, width)
        model.tensor(name + "ffn_down.weight", width, feed_forward)
    return model.save()


def llama(path: Path, **sizes: Any) -> Path:
    return _attention_model(path, "llama", **sizes)


def qwen2(path: Path, **sizes: Any) -> Path:
    return _attention_model(path, "qwen2", **sizes)


def qwen2vl(path: Path, **sizes: Any) -> Path:
    """Its positions have several axes."""
    return _attention_model(path, "qwen2vl", **sizes)


def qwen3(path: Path, **sizes: Any) -> Path:
    return _attention_model(path, "qwen3", **sizes)


def gpt2(path: Path, *, seed: int = 0, vocabulary: int = 1024, n_ctx: int = 128) -> Path:
    """Positions are a table: there are no more than it has rows."""
    width, layers, heads, feed_forward = 64, 2, 4, 128
    model = _Model(path, "gpt2", seed=seed, width=width, layers=layers, heads=heads, n_ctx=n_ctx)
    model.writer.add_feed_forward_length(feed_forward)
    model.writer.add_head_count(heads)
    model.writer.add_layer_norm_eps(1e-5)
    model.vocabulary(vocabulary)
    model.tensor("token_embd.weight", vocabulary, width, scale=1.0)
    model.tensor("position_embd.weight", n_ctx, width, scale=0.1)
    model.tensor("output_norm.weight", width, ones=True)
    model.tensor("output_norm.bias", width, scale=0.0)
    model.tensor("output.weight", vocabulary, width)
    for layer in range(layers):
        name = f"blk.{layer}."
        for part, rows, columns in (
            ("attn_qkv", 3 * width, width),
            ("attn_output", width, width),
            ("ffn_up", feed_forward, width),
            ("ffn_down", width, feed_forward),
        ):
            model.tensor(f"{name}{part}.weight", rows, columns)
            model.tensor(f"{name}{part}.bias", rows, scale=0.0)
        for part in ("attn_norm", "ffn_norm"):
            model.tensor(f"{name}{part}.weight", width, ones=True)
            model.tensor(f"{name}{part}.bias", width, scale=0.0)
    return model.save()


def deepseek2(
    path: Path, *, seed: int = 0, vocabulary: int = 1024, n_ctx: int = 4096, template: str | None = CHAT_TEMPLATE
) -> Path:
    """Multi-head latent attention and a mixture of experts."""
    width, layers, heads = 64, 2, 2
    q_rank, kv_rank, rope, nope, value = 32, 32, 16, 16, 16
    experts, used, expert_ff, feed_forward = 4, 2, 32, 96
    model = _Model(path, "deepseek2", seed=seed, width=width, layers=layers, heads=heads, n_ctx=n_ctx)
    writer = model.writer
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(rope)
    writer.add_q_lora_rank(q_rank)
    writer.add_kv_lora_rank(kv_rank)
    writer.add_key_length(kv_rank + rope)
    writer.add_value_length(kv_rank)
    writer.add_key_length_mla(nope + rope)
    writer.add_value_length_mla(value)
    writer.add_leading_dense_block_count(1)
    writer.add_expert_count(experts)
    writer.add_expert_used_count(used)
    writer.add_expert_shared_count(1)
    writer.add_expert_feed_forward_length(expert_ff)
    writer.add_expert_weights_scale(1.0)
    writer.add_expert_weights_norm(True)
    writer.add_uint32("deepseek2.expert_gating_func", 2)
    model.vocabulary(vocabulary, template)
    model.tensor("token_embd.weight", vocabulary, width, scale=1.0)
    model.tensor("output_norm.weight", width, ones=True)
    model.tensor("output.weight", vocabulary, width)
    for layer in range(layers):
        name = f"blk.{layer}."
        model.tensor(name + "attn_norm.weight", width, ones=True)
        model.tensor(name + "ffn_norm.weight", width, ones=True)
        model.tensor(name + "attn_q_a.weight", q_rank, width)
        model.tensor(name + "attn_q_a_norm.weight", q_rank, ones=True)
        model.tensor(name + "attn_q_b.weight", heads * (nope + rope), q_rank)
        model.tensor(name + "attn_kv_a_mqa.weight", kv_rank + rope, width)
        model.tensor(name + "attn_kv_a_norm.weight", kv_rank, ones=True)
        model.tensor(name + "attn_k_b.weight", heads, kv_rank, nope)
        model.tensor(name + "attn_v_b.weight", heads, value, kv_rank)
        model.tensor(name + "attn_output.weight", width, heads * value)
        if layer == 0:
            model.tensor(name + "ffn_gate.weight", feed_forward, width)
            model.tensor(name + "ffn_up.weight", feed_forward, width)
            model.tensor(name + "ffn_down.weight", width, feed_forward)
        else:
            model.tensor(name + "ffn_gate_inp.weight", experts, width)
            model.tensor(name + "exp_probs_b.bias", experts, scale=0.1)
            model.tensor(name + "ffn_gate_exps.weight", experts, expert_ff, width)
            model.tensor(name + "ffn_up_exps.weight", experts, expert_ff, width)
            model.tensor(name + "ffn_down_exps.weight", experts, width, expert_ff)
            model.tensor(name + "ffn_gate_shexp.weight", expert_ff, width)
            model.tensor(name + "ffn_up_shexp.weight", expert_ff, width)
            model.tensor(name + "ffn_down_shexp.weight", width, expert_ff)
    return model.save()


def mamba(
    path: Path,
    *,
    seed: int = 0,
    width: int = 64,
    layers: int = 2,
    vocabulary: int = 1024,
    n_ctx: int = 4096,
    tied: bool = True,
) -> Path:
    """A purely recurrent model: its memory cannot be cut back."""
    state, conv, rank = 8, 4, 4
    inner = 2 * width
    model = _Model(path, "mamba", seed=seed, width=width, layers=layers, heads=0, n_ctx=n_ctx)
    writer = model.writer
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(conv)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    model.vocabulary(vocabulary)
    model.tensor("token_embd.weight", vocabulary, width, scale=1.0)
    model.tensor("output_norm.weight", width, ones=True)
    if not tied:
        model.tensor("output.weight", vocabulary, width)
    for layer in range(layers):
        name = f"blk.{layer}."
        model.tensor(name + "attn_norm.weight", width, ones=True)
        model.tensor(name + "ssm_in.weight", 2 * inner, width)
        model.tensor(name + "ssm_conv1d.weight", inner, conv)
        model.tensor(name + "ssm_conv1d.bias", inner, scale=0.1)
        model.tensor(name + "ssm_x.weight", rank + 2 * state, inner)
        model.tensor(name + "ssm_dt.weight", inner, rank)
        model.tensor(name + "ssm_dt.bias", inner, scale=0.1)
        decay = -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1))
        writer.add_tensor(name + "ssm_a", decay, raw_dtype=GGMLQuantizationType.F32)
        model.tensor(name + "ssm_d", inner, ones=True)
        model.tensor(name + "ssm_out.weight", width, inner)
    return model.save()


def gemma3(
    path: Path, *, seed: int = 0, width: int = 64, vocabulary: int = 1024, n_ctx: int = 4096, window: int = 48
) -> Path:
    """Five layers see a sliding window only, the sixth sees everything."""
    layers, heads, kv_heads, head, feed_forward = 6, 4, 2, width // 4, 2 * width
    model = _Model(path, "gemma3", seed=seed, width=width, layers=layers, heads=heads, n_ctx=n_ctx)
    writer = model.writer
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_sliding_window(window)
    model.vocabulary(vocabulary)
    model.tensor("token_embd.weight", vocabulary, width, scale=1.0)
    model.tensor("output_norm.weight", width, ones=True)
    model.tensor("output.weight", vocabulary, width)
    for layer in range(layers):
        name = f"blk.{layer}."
        for part in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            model.tensor(f"{name}{part}.weight", width, ones=True)
        for part, rows in (("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head)):
            model.tensor(f"{name}attn_{part}.weight", rows, width)
        model.tensor(name + "attn_q_norm.weight", head, ones=True)
        model.tensor(name + "attn_k_norm.weight", head, ones=True)
        model.tensor(name + "attn_output.weight", width, heads * head)
        model.tensor(name + "ffn_gate.weight", feed_forward, width)
        model.tensor(name + "ffn_up.weight", feed_forward, width)
        model.tensor(name + "ffn_down.weight", width, feed_forward)
    return model.save()


def lfm2(path: Path, *, seed: int = 0, width: int = 64, vocabulary: int = 1024, n_ctx: int = 4096) -> Path:
    """A hybrid: layers of short convolutions with a recurrent state, and layers of attention."""
    heads, kv_heads, head, feed_forward, reach = 4, 2, width // 4, 2 * width, 3
    attends = (False, True, False, True)
    model = _Model(path, "lfm2", seed=seed, width=width, layers=len(attends), heads=heads, n_ctx=n_ctx)
    writer = model.writer
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv([kv_heads if attention else 0 for attention in attends])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_shortconv_l_cache(reach)
    model.vocabulary(vocabulary)
    model.tensor("token_embd.weight", vocabulary, width, scale=1.0)
    model.tensor("token_embd_norm.weight", width, ones=True)
    model.tensor("output.weight", vocabulary, width)
    for layer, attention in enumerate(attends):
        name = f"blk.{layer}."
        model.tensor(name + "attn_norm.weight", width, ones=True)
        model.tensor(name + "ffn_norm.weight", width, ones=True)
        if attention:
            for part, rows in (("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head)):
                model.tensor(f"{name}attn_{part}.weight", rows, width)
            model.tensor(name + "attn_q_norm.weight", head, ones=True)
            model.tensor(name + "attn_k_norm.weight", head, ones=True)
            model.tensor(name + "attn_output.weight", width, heads * head)
        else:
            model.tensor(name + "shortconv.conv.weight", width, reach)
            model.tensor(name + "shortconv.in_proj.weight", 3 * width, width)
            model.tensor(name + "shortconv.out_proj.weight", width, width)
        model.tensor(name + "ffn_gate.weight", feed_forward, width)
        model.tensor(name + "ffn_up.weight", feed_forward, width)
        model.tensor(name + "ffn_down.weight", width, feed_forward)
    return model.save()


def bert(
    path: Path, *, seed: int = 0, pooling: PoolingType = PoolingType.MEAN, width: int = 64, n_ctx: int = 256
) -> Path:
    """An encoder for embeddings; with ``PoolingType.RANK`` a cross-encoder."""
    layers, heads, feed_forward = 2, 4, 128
    model = _Model(path, "bert", seed=seed, width=width, layers=layers, heads=heads, n_ctx=n_ctx)
    writer = model.writer
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += ["\u2581" + word for word in dict.fromkeys(_WORDS.split())]
    words += ["\u2581" + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,!?"]
    words += list("abcdefghijklmnopqrstuvwxyz0123456789")
    words = list(dict.fromkeys(words))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(words)
    writer.add_token_types([int(TokenType.CONTROL)] * 5 + [int(TokenType.NORMAL)] * (len(words) - 5))
    writer.add_token_type_count(2)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_unk_token_id(1)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(4)
    writer.add_vocab_size(len(words))
    model.tensor("token_embd.weight", len(words), width, scale=1.0)
    model.tensor("token_types.weight", 2, width, scale=0.1)
    model.tensor("position_embd.weight", n_ctx, width, scale=0.1)
    model.tensor("token_embd_norm.weight", width, ones=True)
    model.tensor("token_embd_norm.bias", width, scale=0.0)
    for layer in range(layers):
        name = f"blk.{layer}."
        for part in ("q", "k", "v"):
            model.tensor(f"{name}attn_{part}.weight", width, width)
            model.tensor(f"{name}attn_{part}.bias", width, scale=0.1)
        model.tensor(name + "attn_output.weight", width, width)
        model.tensor(name + "attn_output.bias", width, scale=0.1)
        model.tensor(name + "attn_output_norm.weight", width, ones=True)
        model.tensor(name + "attn_output_norm.bias", width, scale=0.0)
        model.tensor(name + "ffn_up.weight", feed_forward, width)
        model.tensor(name + "ffn_up.bias", feed_forward, scale=0.1)
        model.tensor(name + "ffn_down.weight", width, feed_forward)
        model.tensor(name + "ffn_down.bias", width, scale=0.1)
        model.tensor(name + "layer_output_norm.weight", width, ones=True)
        model.tensor(name + "layer_output_norm.bias", width, scale=0.0)
    if pooling == PoolingType.RANK:
        model.tensor("cls.weight", width, width)
        model.tensor("cls.bias", width, scale=0.1)
        model.tensor("cls.output.weight", 1, width)
        model.tensor("cls.output.bias", 1, scale=0.1)
    return model.save()
