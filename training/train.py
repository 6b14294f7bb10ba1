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
from training.data.calls import VERDICT, answer_samples, call_samples
from training.data.echo import echo_samples
from training.data.mix import copying_samples, fact_samples, host_samples, short_samples
from training.model import Llama, Shape
from training.optimizer import Muon
from training.tokenizer import load
from training.workers import agreed, average_gradients, spread

BUILD = Path(__file__).parent / "build"


@dataclass(frozen=True)
class Stage:
    """A part of the diet: how many samples, how long at most, and in which part of the training they appear."""

    name: str
    samples: int
    longest: int
    first: float
    last: float
    characters: tuple[int, int] = (0, 0)


# Looking back comes first: without it, neither an entity nor an id finds its way from a question into an answer.
TALK = (
    Stage("copying", 9_000, 256, 0.0, 0.35),
    Stage("facts", 14_000, 128, 0.0, 0.6),
    Stage("short", 26_000, 640, 0.08, 1.0),
    Stage("pages", 1_500, 1_600, 0.3, 1.0, (800, 4_500)),
    Stage("long", 90, 6_500, 0.6, 0.97, (7_000, 22_000)),
)
# Then what Parlant asks: first to copy again, and with as much of the first diet that nothing is forgotten.
COPYING = (
    Stage("echo", 6_000, 400, 0.0, 1.0),
    Stage("calls", 3_000, 420, 0.1, 1.0),
    Stage("facts", 4_000, 128, 0.0, 1.0),
    Stage("short", 5_000, 640, 0.0, 1.0),
)
AGENTS = (
    Stage("answers", 16_000, 300, 0.0, 0.6),
    Stage("echo", 2_000, 400, 0.0, 0.3),
    Stage("calls", 16_000, 420, 0.0, 1.0),
    Stage("longer", 4_000, 900, 0.2, 1.0),
    Stage("whole", 400, 4_500, 0.3, 0.9),
    Stage("facts", 20_000, 128, 0.0, 1.0),
    Stage("short", 24_000, 640, 0.0, 1.0),
    Stage("pages", 400, 1_600, 0.0, 1.0, (800, 4_500)),
)
PLANS = {"talk": TALK, "copying": COPYING, "agents": AGENTS}


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
        "answers": lambda *_: answer_samples(rng),
        "calls": lambda *_: call_samples(rng),
        "longer": lambda *_: call_samples(rng),
        "whole": lambda *_: call_samples(rng, whole=True),
    }
    out = {}
    for stage in stages:
        count = max(1, int(stage.samples * scale)) if not only or stage.name in only else 0
        make = made.get(stage.name, lambda stage, count: host_samples(rng, count, stage.characters))
        out[stage.name] = encode_all(make(stage, count), tokenizer, stage.longest, count)
        total = sum(len(sample.ids) for sample in out[stage.name])
        print(f"{stage.name}: {len(out[stage.name])} samples, {total:,} tokens", flush=True)
    return out


def schedule(
    stages: Sequence[Stage], samples: dict[str, list[Encoded]], tokens_per_batch: int, seed: int
) -> list[Batch]:
    """All batches in the order of training."""
    rng = random.Random(seed)
    placed: list[tuple[float, Batch]] = []
    for stage in stages:
        for batch in batches(stage.name, samples[stage.name], tokens_per_batch, rng, furthest=12_000):
            placed.append((rng.uniform(stage.first, stage.last), batch))
    placed.sort(key=lambda pair: pair[0])
    return [batch for _, batch in placed]


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


def train(
    model: Llama, plan: list[Batch], rate: float, seconds: float, checkpoint: Path, every: int, rank: int, workers: int
) -> None:
    """One pass over the plan, of which each worker takes its part; on a machine too busy for it, the rate falls with the
    clock and the pass ends early."""
    matrices = [weight for name, weight in model.named_parameters() if weight.dim() == 2 and "embedding" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.dim() != 2 or "embedding" in name]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0)
    started, seen = time.monotonic(), 0
    recent: dict[str, float] = {}
    steps = len(plan) // workers
    for step, batch in enumerate(plan[rank : steps * workers : workers]):
        progress = max((step + 1) / steps, agreed((time.monotonic() - started) / seconds))
        if progress > 1.0:
            break
        now = rate_at(progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, said = loss_of(model, batch)
        loss.backward()
        average_gradients(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in adam.param_groups:
            group["lr"] = rate * 0.2 * now
        adam.step()
        adam.zero_grad(set_to_none=True)
        muon.step(rate * now)
        seen += workers * batch.tokens.numel()
        for name, value in said.items():
            recent[name] = 0.97 * recent.get(name, value.item()) + 0.03 * value.item()
        if rank:
            continue
        if step % 25 == 0 or step + 1 == steps:
            spent = time.monotonic() - started
            losses = ", ".join(f"{name} {value:.3f}" for name, value in recent.items())
            print(f"{step}/{steps}: {losses}; {seen / spent:,.0f} tok/s, {spent:,.0f} s", flush=True)
        if step and step % every == 0:
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
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    stages = PLANS[arguments.plan]
    plan = schedule(
        stages,
        prepare(stages, arguments.tokenizer, arguments.seed, arguments.scale, arguments.only),
        arguments.tokens // arguments.workers,
        arguments.seed,
    )
    saved = torch.load(arguments.start) if arguments.start else None
    model = Llama(Shape(**saved["shape"]) if saved else Shape())
    if saved:
        model.load_state_dict(saved["weights"])
    print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters, {len(plan)} steps", flush=True)
    workers = arguments.workers

    def work(rank: int) -> None:
        train(model, plan, arguments.rate, 60 * arguments.minutes, arguments.out, 100, rank, workers)

    spread(workers, work)


if __name__ == "__main__":
    main()
