"""Reads the shipped file back: weights to go on from, and its vocabulary."""

import argparse
from dataclasses import asdict
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, models

from training.export import TARGET, tensor_name
from training.model import Llama, Shape, grown
from training.tokenizer import CONTROL_TOKENS, VISIBLE_TOKENS, splitting

BUILD = Path(__file__).parent / "build"


def weights_of(reader: gguf.GGUFReader, shape: Shape) -> dict[str, torch.Tensor]:
    """The tensors by the names that they have in training."""
    stored = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    return {
        name: torch.from_numpy(np.array(stored[tensor_name(name)], dtype=np.float32))
        for name in Llama(shape).state_dict()
    }


def shape_of(reader: gguf.GGUFReader) -> Shape:
    """Layers and feed-forward width; the rest has never changed."""
    layers = int(reader.fields["llama.block_count"].contents())
    return Shape(layers=layers, feed_forward=int(reader.fields["llama.feed_forward_length"].contents()))


def vocabulary_of(reader: gguf.GGUFReader) -> Tokenizer:
    """The same tokens with the same numbers."""
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = splitting(Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges)))
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in VISIBLE_TOKENS])
    return tokenizer


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=TARGET)
    parser.add_argument("--layers", type=int, default=0, help="grow to so many; new ones begin by doing nothing")
    parser.add_argument("--out", type=Path, default=BUILD / "restored.pt")
    arguments = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    reader = gguf.GGUFReader(arguments.model)
    shape = shape_of(reader)
    vocabulary_of(reader).save(str(BUILD / "tokenizer.json"))
    model = Llama(shape)
    model.load_state_dict(weights_of(reader, shape))
    if arguments.layers > shape.layers:
        model = grown(model, arguments.layers)
    torch.save({"shape": asdict(model.shape), "weights": model.state_dict()}, arguments.out)


if __name__ == "__main__":
    main()
