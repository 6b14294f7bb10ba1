"""First half: which embeddings make the language model say what is on a picture. Its weights stay as they are."""

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from training.model import Llama, rotary
from training.sight.pictures import COLOURS, SHAPES
from training.sight.questions import SYSTEMS, Turn, conversation

_NOISE = 0.06
"""Of an embedding's size: what reads a picture will never be exact."""
_BEHIND = 0.25  # how often the picture stands behind the question


class Meanings(nn.Module):
    """For each place a vector, and one for each colour and shape; their sum stands there."""

    def __init__(self, language: Llama, tokenizer: Tokenizer, places: int) -> None:
        super().__init__()
        words = language.embedding.weight.detach()
        size = words.pow(2).mean().sqrt()

        def named(names: Iterable[str]) -> nn.Parameter:
            """Begins as the words themselves."""
            found = torch.stack([words[tokenizer.encode(f" {name}").ids].mean(0) for name in names])
            return nn.Parameter(found[:, None].repeat(1, places, 1))

        self.ground = nn.Parameter(words.mean(0) + 0.1 * size * torch.randn(places, words.size(1)))
        self.colours, self.shapes = named(COLOURS), named(SHAPES)

    def forward(self, colours: Tensor, shapes: Tensor) -> Tensor:
        return self.ground + self.colours[colours] + self.shapes[shapes]


class Asked:
    """A batch of conversations: tokens, where a picture stands, and which tokens are answers."""

    def __init__(
        self, tokenizer: Tokenizer, conversations: Sequence[list[Turn]], patches: int, dice: np.random.Generator
    ) -> None:
        rows, answers = [], []
        for turns in conversations:
            ids: list[int] = []
            weights: list[int] = []

            def write(text: str, weight: int = 0, ids: list[int] = ids, weights: list[int] = weights) -> None:
                new = tokenizer.encode(text).ids
                ids += new
                weights += [weight] * len(new)

            if dice.random() < 0.25:
                write(f"<|im_start|>system\n{dice.choice(SYSTEMS)}<|im_end|>\n")
            for number, (question, reply) in enumerate(turns):
                behind = dice.random() < _BEHIND
                write("<|im_start|>user\n" + (question if behind else ""))
                if number == 0:
                    ids += [-1] * patches
                    weights += [0] * patches
                write(("" if behind else question) + "<|im_end|>\n")
                write("<|im_start|>assistant\n")
                write(f"{reply}<|im_end|>", 1)
                write("\n")
            rows.append(ids)
            answers.append(weights)
        longest = max(map(len, rows))
        self.tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in rows])
        self.answers = torch.tensor([each + [0] * (longest - len(each)) for each in answers])


def loss_of(language: Llama, asked: Asked, pictures: Tensor) -> tuple[Tensor, float]:
    """Of the answers' tokens, and the share of answers' tokens that are said right. ``pictures``: embeddings per conversation."""
    x = language.embedding(asked.tokens.clamp(min=0))
    x = x.masked_scatter((asked.tokens < 0)[..., None], pictures.reshape(-1))
    positions = torch.arange(x.size(1)).expand(x.size(0), -1)
    cos, sin = rotary(positions, language.shape)
    for block in language.blocks:
        x = block(x, cos, sin)
    said = asked.answers[:, 1:].bool()
    logits = language.logits(language.norm(x[:, :-1][said]))
    wanted = asked.tokens[:, 1:][said]
    return F.cross_entropy(logits, wanted), float((logits.argmax(-1) == wanted).float().mean())


def learnt(
    language: Llama, tokenizer: Tokenizer, patches: int, *, steps: int, batch: int, seconds: float, rate: float = 0.03
) -> Meanings:
    """The vectors, by gradient descent through the language model."""
    dice = np.random.default_rng(1)
    meanings = Meanings(language, tokenizer, patches)
    optimizer = torch.optim.Adam(meanings.parameters(), lr=rate)
    began = time.monotonic()
    for step in range(steps):
        part = max(step / steps, (time.monotonic() - began) / seconds)
        if part >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (1 - part) / 0.5)
        colours, shapes = (torch.from_numpy(dice.integers(0, 10, batch)) for _ in range(2))
        vectors = meanings(colours, shapes)
        noise = vectors.detach().pow(2).mean().sqrt() * _NOISE * min(1.0, 2 * part)
        vectors = vectors + noise * (torch.randn_like(vectors[:, :1]) + torch.randn_like(vectors))
        loss, right = loss_of(language, Asked(tokenizer, talks(dice, colours, shapes), patches, dice), vectors)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(
                f"meanings {step}: loss {loss.item():.3f}, tokens right {right:.2f}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    return meanings


def talks(dice: np.random.Generator, colours: Tensor, shapes: Tensor) -> list[list[Turn]]:
    """A conversation about each picture."""
    return [
        conversation(dice, list(COLOURS)[colour], SHAPES[shape])
        for colour, shape in zip(colours.tolist(), shapes.tolist(), strict=True)
    ]
