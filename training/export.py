"""Writes the trained weights as a GGUF: llama architecture, Q8_0 matrices, vocabulary, chat template and credits."""

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from training.chat import TEMPLATE
from training.model import Llama, Shape
from training.tokenizer import CONTROL_TOKENS, END_OF_TEXT, PRE_TOKENIZER, TURN_END, VISIBLE_TOKENS

BUILD = Path(__file__).parent / "build"
TARGET = Path(__file__).parent.parent / "src" / "parlant_local" / "models" / "parlant-local-tiny.gguf"


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: dict[str, Any]) -> None:
    """Tokens, merges and the tokens with a meaning."""
    ids: dict[str, int] = dict(vocabulary["model"]["vocab"])
    ids.update({added["content"]: added["id"] for added in vocabulary["added_tokens"]})
    tokens = sorted(ids, key=lambda token: ids[token])
    types = [
        gguf.TokenType.CONTROL if token in CONTROL_TOKENS
        else gguf.TokenType.USER_DEFINED if token in VISIBLE_TOKENS
        else gguf.TokenType.NORMAL
        for token in tokens
    ]  # fmt: skip
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in vocabulary["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    # A beginning-of-sequence token is named for those who ask, and never added: the template starts with <|im_start|>.
    writer.add_bos_token_id(ids[END_OF_TEXT])
    writer.add_eos_token_id(ids[TURN_END])
    writer.add_eot_token_id(ids[TURN_END])
    writer.add_pad_token_id(ids[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def write_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """The architecture's numbers."""
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)


_PARTS = {"attn_norm": "attn_norm", "ffn_norm": "ffn_norm", "attn.q": "attn_q", "attn.k": "attn_k", "attn.v": "attn_v",
          "attn.o": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}  # fmt: skip


def tensor_name(name: str) -> str:
    """What a weight of the model is called in the file."""
    stem = name.removesuffix(".weight")
    if stem == "embedding":
        return "token_embd.weight"
    if stem == "norm":
        return "output_norm.weight"
    _, layer, part = stem.split(".", 2)
    return f"blk.{layer}.{_PARTS[part]}.weight"


def write_tensors(writer: gguf.GGUFWriter, model: Llama) -> None:
    """Norms stay exact, matrices take eight bits."""
    for name, weight in model.state_dict().items():
        values = weight.detach().float().numpy()
        if values.ndim == 1:
            writer.add_tensor(tensor_name(name), values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(
                tensor_name(name), gguf.quants.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind
            )


def export(model: Llama, vocabulary: dict[str, Any], target: Path) -> None:
    """Writes the file."""
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("parlant-local-tiny")
    writer.add_author("the parlant-local authors")
    writer.add_license("apache-2.0")
    writer.add_description(
        "A proof-of-life chat model of three million parameters that comes with parlant-local. It knows a few hundred documented facts."
    )
    writer.add_size_label("3.4M")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_shape(writer, model.shape)
    write_vocabulary(writer, vocabulary)
    write_tensors(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUILD / "model.pt")
    parser.add_argument("--tokenizer", type=Path, default=BUILD / "tokenizer.json")
    parser.add_argument("--out", type=Path, default=TARGET)
    arguments = parser.parse_args()
    saved = torch.load(arguments.weights)
    model = Llama(Shape(**saved["shape"]))
    model.load_state_dict(saved["weights"])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    export(model, json.loads(arguments.tokenizer.read_text(encoding="utf-8")), arguments.out)
    print(f"{arguments.out.name}: {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
