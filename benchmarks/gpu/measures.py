"""``python -m benchmarks.gpu.measures NAME``: one proof, in a process of its own. Each tells its rows as it has them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu import machine
from benchmarks.gpu.pack import PACK
from benchmarks.gpu.scale import scale
from benchmarks.gpu.steps import tell
from benchmarks.models import CACHE, SHIPPED, model_path
from benchmarks.workloads import words

__all__ = ["compare", "main"]

DRY = bool(os.environ.get("DRY"))
_MIB = 1 << 20
_TIE = 0.1
"""Natural-log units: of two tokens this close either is greedy, since arithmetic in another order rounds differently."""


def model_file(name: str) -> Path:
    return SHIPPED if name == "shipped" else model_path(name)


def show_library() -> None:
    from parlant_local.engine.native import library, system_info
    from parlant_local.engine.native.devices import devices, gpus

    lib = library()
    tell("library", f"{lib.build}, offload {'possible' if lib.llama_supports_gpu_offload() else 'not possible'}")
    tell("built for", " ".join(system_info().replace(" = 1 |", "").split()))
    for device in devices():
        tell(
            f"{device.name} ({device.kind})",
            f"{device.description}: {device.free // _MIB} of {device.total // _MIB} MiB free",
        )
    if not DRY:
        found, known = [device.total // _MIB for device in gpus()], [card.total_mib for card in machine.cards()]
        tell("totals, ours and the driver's", f"{found} and {known}")
        assert len(found) == len(known), "the engine does not see the cards that the driver sees"
        assert all(abs(ours - theirs) <= theirs * 0.05 for ours, theirs in zip(found, known, strict=True))


def make_models() -> None:
    for name in ("shipped", "small"):
        path = model_file(name)
        tell(f"{name} model", f"{path.name}, {path.stat().st_size / 1e6:.0f} MB")


async def _answers(name: str) -> list[list[Any]]:
    """Of each prompt the greedy tokens, with the likeliest alternatives."""
    from parlant_local.engine import LlamaEngine
    from parlant_local.engine.requests import GenerationRequest
    from parlant_local.settings import EngineSettings

    engine = LlamaEngine(str(model_file(name)), settings=EngineSettings(n_ctx=2048, vetting="never"))
    await engine.load()
    requests = [
        GenerationRequest(prompt=words(seed, 20 + 9 * seed) + "\n", max_tokens=scale().tokens, logprobs=5)
        for seed in range(scale().prompts)
    ]
    done = await asyncio.gather(*(engine.generate(request) for request in requests))
    await engine.close()
    return [[[each.token, each.logprob, each.top] for each in answer.logprobs or ()] for answer in done]


def print_answers(name: str) -> None:
    print(json.dumps(asyncio.run(_answers(name))))


def compare(ours: list[list[Any]], theirs: list[list[Any]]) -> tuple[int, int, list[str]]:
    """Answers that are equal, those that part at a tie, and what is wrong with the others. ``theirs`` are the processor's."""
    equal, ties, wrong = 0, 0, []
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        at = next((at for at, (a, b) in enumerate(zip(mine, other, strict=False)) if a[0] != b[0]), None)
        if at is None and len(mine) == len(other):
            equal += 1
            continue
        if at is None:
            wrong.append(f"answer {number} has {len(mine)} tokens instead of {len(other)}")
            continue
        token, logprob, top = other[at]
        margin = logprob - dict(map(tuple, top)).get(mine[at][0], float("-inf"))
        if margin <= _TIE:
            ties += 1
        else:
            wrong.append(
                f"answer {number} parts at token {at}: {mine[at][0]!r} instead of {token!r}, {margin:.2f} behind it"
            )
    return equal, ties, wrong


def check_equality() -> None:
    """With the card hidden the same library computes on the processor."""
    failed = False
    for name in ("shipped", "small"):
        found = []
        for hidden in ({}, {"CUDA_VISIBLE_DEVICES": ""}):
            command = [sys.executable, "-m", "benchmarks.gpu.measures", "answers", name]
            said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **hidden})
            if said.returncode:
                sys.exit(said.stderr)
            found.append(json.loads(said.stdout.splitlines()[-1]))
        equal, ties, wrong = compare(*found)
        tell(f"{name}: greedy answers equal to the processor's", f"{equal} of {len(found[0])}, {ties} part at a tie")
        for each in wrong:
            tell(f"{name}: wrong", each)
        failed = failed or bool(wrong)
    assert not failed, "the card's greedy answers are not the processor's"


def check_sizing() -> None:
    """What the plan says a loaded model takes, and what it took."""

    async def loaded(name: str) -> None:
        import psutil

        from parlant_local.engine import LlamaEngine
        from parlant_local.engine.native.devices import gpus
        from parlant_local.engine.requests import GenerationRequest
        from parlant_local.settings import EngineSettings

        def used() -> int:
            return psutil.Process().memory_info().rss if DRY else machine.used_mib() * _MIB

        gpus()  # CUDA's own context is no part of any plan, and there from now on
        before = used()
        engine = LlamaEngine(str(model_file(name)), settings=EngineSettings(vetting="never"))
        await engine.load()
        await engine.generate(GenerationRequest(prompt=words(1, 400), max_tokens=8))
        layout, planned, took = engine.sizing.layout, engine.sizing.estimate.total, used() - before
        tell(
            f"{name}: planned, taken",
            f"{planned // _MIB} MiB, {took // _MIB} MiB ({took / planned:.2f} times); n_ctx {layout.n_ctx}, "
            f"{layout.cells} cells, {layout.n_seq} sequences, micro-batch {layout.n_ubatch}, flash {layout.flash_attention}",
        )
        await engine.close()

    async def both() -> None:
        for name in ("shipped", "small"):
            await loaded(name)

    asyncio.run(both())


def recorded_turns() -> dict[str, list[dict[str, Any]]]:
    """The calls of a Parlant server, by turn; recorded where the pack was made."""
    from benchmarks.record import record

    packed = PACK / "parlant.json"
    calls = json.loads(packed.read_text("utf-8")) if packed.exists() else record(CACHE / "parlant.json")
    turns: dict[str, list[dict[str, Any]]] = {}
    for item in calls:
        call = {**item["call"], "max_tokens": min(item["call"]["max_tokens"], scale().answer), "after": item["after"]}
        turns.setdefault(item["phase"], []).append(call)
    return turns


_MEASURES: dict[str, Callable[..., None]] = {
    "library": show_library,
    "models": make_models,
    "answers": print_answers,
    "equality": check_equality,
    "sizing": check_sizing,
}


def main(name: str, *arguments: str) -> None:
    if name in _MEASURES:
        _MEASURES[name](*arguments)
        return
    from benchmarks.gpu.workloads import WORKLOADS

    WORKLOADS[name](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
