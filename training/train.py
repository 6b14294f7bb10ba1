"""Trains the model: short conversations, calls of an agent framework, and a few long ones at the end."""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from training.batches import Batch, Encoded, batches, encode_all
from training.chat import ANSWER, Sample
from training.data.calls import AGAIN, VERDICT, call_samples
from training.data.drills import drill_samples, match_samples
from training.data.echo import echo_samples
from training.data.mix import copying_samples, fact_samples, host_samples, short_samples
from training.data.tokens import repeated_tokens
from training.model import Llama, Shape
from training.optimizer import Muon
from training.tokenizer import load, ordinary
from training.workers import agreed, average_weights, spread

BUILD = Path(__file__).parent / "build"


@dataclass(frozen=True)
class Stage:
    """A part of the diet: how many samples, how long at most, and in which part of the training they appear. ``again``: what
    repetitions in it weigh at least."""

    name: str
    samples: int
    longest: int
    first: float
    last: float
    characters: tuple[int, int] = (0, 0)
    again: float = 0.0
    shortest: int = 0
    often: float = 1.0


# Looking back comes first: without it, neither an entity nor an id finds its way from a question into an answer.
TALK = (
    Stage("copying", 9_000, 256, 0.0, 0.35),
    Stage("facts", 14_000, 128, 0.0, 0.6),
    Stage("short", 26_000, 640, 0.08, 1.0),
    Stage("pages", 1_500, 1_600, 0.3, 1.0, (800, 4_500)),
    Stage("long", 90, 6_500, 0.6, 0.97, (7_000, 22_000)),
)
# Then what Parlant asks. A quarter of it is saying after, to the end: with less the recorded questions are learnt by heart, and copying, which
# all the rest stands on, is lost within minutes.
AGENTS = (
    Stage("tokens", 12_000, 0, 0.0, 1.0, often=2.5),
    Stage("echo", 12_000, 256, 0.0, 1.0, often=1.4),
    Stage("matches", 2_000, 300, 0.0, 1.0),
    Stage("drills", 26_000, 200, 0.0, 1.0, again=0.3, often=1.9),
    Stage("calls", 12_000, 400, 0.0, 1.0, again=0.2, often=0.8),
    Stage("longer", 2_500, 800, 0.0, 1.0, again=0.2, shortest=400, often=0.6),
    Stage("whole", 900, 3_600, 0.0, 1.0, again=0.2, shortest=800, often=0.9),
    Stage("again", 2_000, 500, 0.0, 1.0, again=0.2, often=0.7),
    Stage("facts", 10_000, 128, 0.0, 1.0, often=2.2),
    Stage("short", 9_000, 500, 0.0, 1.0, often=0.8),
    Stage("pages", 1_200, 1_600, 0.0, 1.0, (800, 4_500), often=0.6),
    Stage("long", 40, 6_500, 0.0, 1.0, (7_000, 22_000), often=0.5),
)
PLANS = {"talk": TALK, "agents": AGENTS}


def prepare(
    stages: Sequence[Stage], tokenizer_path: Path, seed: int, scale: float, only: Sequence[str]
) -> dict[str, list[Encoded]]:
    """Makes and encodes the samples of every stage."""
    tokenizer = load(tokenizer_path)
    rng = random.Random(seed)
    made: dict[str, Callable[[Stage, int], Iterable[Sample]]] = {
        "copying": lambda _, count: copying_samples(rng, count),
        "facts": lambda _, count: fact_samples(rng, count),
        "short": lambda _, count: short_samples(rng, count),
        "echo": lambda _, count: echo_samples(rng, count),
        "matches": lambda _, count: match_samples(rng, count),
        "drills": lambda _, count: drill_samples(rng, count),
        "calls": lambda *_: call_samples(rng),
        "longer": lambda *_: call_samples(rng),
        "whole": lambda *_: call_samples(rng, whole=True),
        "again": lambda *_: call_samples(rng, only=AGAIN),
    }
    out = {}
    for stage in stages:
        count = max(1, int(stage.samples * scale)) if not only or stage.name in only else 0
        if stage.name == "tokens":
            out[stage.name] = repeated_tokens(rng, count, ordinary(tokenizer))
            continue
        make = made.get(stage.name, lambda stage, count: host_samples(rng, count, stage.characters))
        out[stage.name] = encode_all(make(stage, count), tokenizer, stage.longest, count, stage.again, stage.shortest)
        total = sum(len(sample.ids) for sample in out[stage.name])
        print(f"{stage.name}: {len(out[stage.name])} samples, {total:,} tokens", flush=True)
    return out


class Diet:
    """What comes next: of each stage its share of the tokens, in its part of the training.

    Where a training stands is told by whoever asks, so that a busy machine shortens every part of it alike.
    """

    def __init__(
        self, stages: Sequence[Stage], samples: dict[str, list[Encoded]], tokens_per_batch: int, rng: random.Random
    ) -> None:
        self._stages = [stage for stage in stages if samples[stage.name]]
        self._samples, self._tokens_per_batch, self._rng = samples, tokens_per_batch, rng
        self._waiting: dict[str, list[Batch]] = {}
        self._batches = {
            stage.name: stage.often * sum(len(each.ids) for each in samples[stage.name]) / tokens_per_batch
            for stage in self._stages
        }

    @property
    def steps(self) -> float:
        """One pass, for a single worker."""
        return sum(self._batches.values())

    def next(self, progress: float) -> Batch:
        """A batch for this point of the training, from 0 to 1."""
        open_now = [stage for stage in self._stages if stage.first <= progress <= stage.last]
        weights = [self._batches[stage.name] / (stage.last - stage.first) for stage in open_now]
        name = self._rng.choices([stage.name for stage in open_now], weights)[0]
        if not self._waiting.get(name):
            made = batches(name, self._samples[name], self._tokens_per_batch, self._rng, furthest=12_000)
            self._waiting[name] = list(made)
        return self._waiting[name].pop()


def rate_at(progress: float, warmup: float = 0.03, decay: float = 0.45) -> float:
    """Warm up, stay, then fall in a straight line."""
    if progress < warmup:
        return progress / warmup
    return min(1.0, max(0.02, (1.0 - progress) / decay))


def loss_of(model: Llama, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weighted loss, and the plain losses on what the model itself says, and on its verdicts alone."""
    hidden = model.hidden(batch.tokens, batch.positions)
    chosen = batch.weights > 0
    logits = model.logits(hidden[chosen])
    losses = F.cross_entropy(logits.float(), batch.targets[chosen], reduction="none")
    weights = batch.weights[chosen]
    said = {batch.stage: losses[weights >= ANSWER].mean().detach()}
    if (verdicts := weights >= VERDICT).any():
        said[f"{batch.stage}' verdicts"] = losses[verdicts].mean().detach()
    return (losses * weights).sum() / weights.sum(), said


_APART = 10
"""Steps that each worker makes for itself before all take the mean of their weights: who meets at every step waits at every step."""


def train(
    model: Llama,
    diet: Diet,
    rate: float,
    seconds: float,
    checkpoint: Path,
    every: float,
    rank: int,
    workers: int,
    span: tuple[float, float] = (0.0, 1.0),
) -> None:
    """One pass over the diet, of which each worker draws its part; on a machine too busy for it, the rate falls with the clock
    and the pass ends early. ``span``: which part of the training this is."""
    matrices = [weight for name, weight in model.named_parameters() if weight.dim() == 2 and "embedding" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.dim() != 2 or "embedding" in name]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
    started, saved, seen, step = time.monotonic(), time.monotonic(), 0, 0
    recent: dict[str, float] = {}
    spent = 0.0
    while True:
        if step % _APART == 0:
            average_weights(model)
            spent = agreed(
                max(step * workers / diet.steps / (span[1] - span[0]), (time.monotonic() - started) / seconds)
            )
            if spent > 1.0:
                break
        progress = span[0] + (span[1] - span[0]) * spent
        now = rate_at(progress) * min(1.0, (step + 1) / 40)
        batch = diet.next(progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, said = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in adam.param_groups:
            group["lr"] = rate * 0.2 * now
        adam.step()
        adam.zero_grad(set_to_none=True)
        muon.step(rate * now)
        seen += workers * batch.tokens.numel()
        step += 1
        for name, value in said.items():
            recent[name] = 0.95 * recent.get(name, value.item()) + 0.05 * value.item()
        if rank:
            continue
        if step % 25 == 0:
            taken = time.monotonic() - started
            losses = ", ".join(f"{name} {value:.3f}" for name, value in recent.items())
            print(f"{step}, {100 * progress:.1f} %: {losses}; {seen / taken:,.0f} tok/s, {taken:,.0f} s", flush=True)
        if time.monotonic() - saved > every:
            saved = time.monotonic()
            torch.save({"shape": asdict(model.shape), "weights": model.state_dict()}, checkpoint)
    if rank:
        return
    torch.save({"shape": asdict(model.shape), "weights": model.state_dict()}, checkpoint)
    summary = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "steps": step,
        "tokens": seen,
        "seconds": round(time.monotonic() - started),
        "losses": {name: round(value, 4) for name, value in recent.items()},
    }
    checkpoint.with_suffix(".json").write_text(json.dumps(summary), encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=PLANS, default="talk")
    parser.add_argument("--tokenizer", type=Path, default=BUILD / "tokenizer.json")
    parser.add_argument("--out", type=Path, default=BUILD / "model.pt")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--only", nargs="*", default=(), help="stages to train on; all of them if left out")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full diet; 0.1 is a quick try")
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens per step")
    parser.add_argument("--minutes", type=float, default=40.0, help="the most that training may take")
    parser.add_argument(
        "--part", type=float, nargs=2, default=(0.0, 1.0), help="which part of the training, from 0 to 1"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    stages = PLANS[arguments.plan]
    samples = prepare(stages, arguments.tokenizer, arguments.seed, arguments.scale, arguments.only)
    workers = arguments.workers
    saved = torch.load(arguments.start) if arguments.start else None
    model = Llama(Shape(**saved["shape"]) if saved else Shape())
    if saved:
        model.load_state_dict(saved["weights"])
    print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters", flush=True)

    def work(rank: int) -> None:
        diet = Diet(stages, samples, arguments.tokens // workers, random.Random(arguments.seed + rank))
        seconds, part = 60 * arguments.minutes, tuple(arguments.part)
        train(model, diet, arguments.rate, seconds, arguments.out, 120.0, rank, workers, part)

    spread(workers, work)


if __name__ == "__main__":
    main()
