"""Trains the eyes: what the language model wants to hear, then to see it in pictures, then both together."""

import argparse
import hashlib
import time
from dataclasses import asdict
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from training.export import TARGET
from training.model import Llama
from training.restore import shape_of, vocabulary_of, weights_of
from training.sight.encoder import Eyes, EyeShape, export, prepared
from training.sight.meanings import Asked, Meanings, learnt, loss_of, talks
from training.sight.pictures import COLOURS, SHAPES, drawn

BUILD = Path(__file__).parent.parent / "build"
EYES = Path(__file__).parent.parent.parent / "tests" / "data" / "sight" / "mmproj-parlant-local-tiny.gguf"


def language_model(path: Path) -> tuple[Llama, Tokenizer]:
    """The shipped file, with weights that stay."""
    reader = gguf.GGUFReader(path)
    shape = shape_of(reader)
    model = Llama(shape)
    model.load_state_dict(weights_of(reader, shape))
    return model.requires_grad_(False), vocabulary_of(reader)


def pictures(dice: np.random.Generator, count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, colours and shapes."""
    made = [drawn(dice) for _ in range(count)]
    pixels = torch.from_numpy(np.stack([prepared(each.image, side) for each in made]))
    colours = torch.tensor([list(COLOURS).index(each.colour) for each in made])
    return pixels, colours, torch.tensor([SHAPES.index(each.shape) for each in made])


class Schedule:
    """Up within some steps, then down to nothing at the end of its time."""

    def __init__(self, optimizer: torch.optim.Optimizer, rate: float, seconds: float) -> None:
        self._optimizer, self._rate, self._seconds = optimizer, rate, seconds
        self._began = time.monotonic()
        self.steps = 0

    @property
    def passed(self) -> float:
        """Seconds."""
        return time.monotonic() - self._began

    def go_on(self) -> bool:
        """Sets the next step's rate."""
        left = 1 - self.passed / self._seconds if self._seconds else 0.0
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * max(0.0, min(1.0, (self.steps + 1) / 100, left / 0.6))
        self.steps += 1
        return left > 0


def see(eyes: Eyes, meanings: Meanings, *, seconds: float, batch: int, rate: float) -> None:
    """Pictures to embeddings. Two heads, which nothing needs later, show the encoder what is to be told apart."""
    shape = eyes.shape
    heads = nn.ModuleList(nn.Linear(shape.code, 10) for _ in range(2))
    optimizer = torch.optim.AdamW([*eyes.parameters(), *heads.parameters()], lr=rate, weight_decay=0.02)
    schedule, dice = Schedule(optimizer, rate, seconds), np.random.default_rng(2)
    with torch.no_grad():
        scale = meanings.ground.pow(2).mean() + meanings.colours.pow(2).mean() + meanings.shapes.pow(2).mean()
    while schedule.go_on():
        pixels, colours, shapes = pictures(dice, batch, shape.image)
        codes = eyes.codes(pixels)
        told = [head(codes) for head in heads]
        named = sum(F.cross_entropy(each.mean(1), right) for each, right in zip(told, (colours, shapes), strict=True))
        with torch.no_grad():
            wanted = meanings(colours, shapes)
        away = F.mse_loss(eyes.speak(codes), wanted) / scale
        optimizer.zero_grad()
        (named + 4 * away).backward()
        nn.utils.clip_grad_norm_(eyes.parameters(), 1.0)
        optimizer.step()
        if schedule.steps % 50 == 1:
            right = [
                float((each.mean(1).argmax(-1) == truth).float().mean())
                for each, truth in zip(told, (colours, shapes), strict=True)
            ]
            print(
                f"seeing {schedule.steps}: away {away.item():.4f}, colours {right[0]:.2f}, shapes {right[1]:.2f}, {schedule.passed:.0f} s",
                flush=True,
            )


def see_and_say(eyes: Eyes, language: Llama, tokenizer: Tokenizer, *, seconds: float, batch: int, rate: float) -> None:
    """Pictures to answers, through the language model."""
    optimizer = torch.optim.AdamW(eyes.parameters(), lr=rate, weight_decay=0.0)
    schedule, dice = Schedule(optimizer, rate, seconds), np.random.default_rng(3)
    while schedule.go_on():
        pixels, colours, shapes = pictures(dice, batch, eyes.shape.image)
        asked = Asked(tokenizer, talks(dice, colours, shapes), eyes.shape.patches, dice)
        loss, right = loss_of(language, asked, eyes(pixels))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(eyes.parameters(), 1.0)
        optimizer.step()
        if schedule.steps % 20 == 1:
            print(
                f"saying {schedule.steps}: loss {loss.item():.3f}, tokens right {right:.2f}, {schedule.passed:.0f} s",
                flush=True,
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=TARGET)
    parser.add_argument("--out", type=Path, default=EYES)
    parser.add_argument("--minutes", type=float, nargs=3, default=(8, 16, 35), help="for each of the three parts")
    parser.add_argument("--meanings", type=Path, help="take the first part's outcome from this file")
    parser.add_argument(
        "--weights", type=Path, help="go on with these weights of the eyes, as for another language model"
    )
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    BUILD.mkdir(exist_ok=True)
    language, tokenizer = language_model(arguments.model)
    eyes = Eyes(EyeShape(out=language.shape.width))
    if arguments.weights:
        eyes.load_state_dict(torch.load(arguments.weights)["weights"])
    first, second, third = (60 * minutes for minutes in arguments.minutes)
    if arguments.meanings:
        meanings = Meanings(language, tokenizer, eyes.shape.patches)
        meanings.load_state_dict(torch.load(arguments.meanings))
    else:
        meanings = learnt(language, tokenizer, eyes.shape.patches, steps=1200, batch=16, seconds=first)
        torch.save(meanings.state_dict(), BUILD / "meanings.pt")
    meanings.requires_grad_(False)
    see(eyes, meanings, seconds=second, batch=96, rate=2e-3)
    torch.save({"shape": asdict(eyes.shape), "weights": eyes.state_dict()}, BUILD / "eyes.pt")
    see_and_say(eyes, language, tokenizer, seconds=third, batch=24, rate=5e-4)
    torch.save({"shape": asdict(eyes.shape), "weights": eyes.state_dict()}, BUILD / "eyes.pt")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    export(eyes, arguments.out, language_model=hashlib.sha256(arguments.model.read_bytes()).hexdigest())
    print(f"{arguments.out.name}: {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
