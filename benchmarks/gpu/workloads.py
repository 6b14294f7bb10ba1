"""W, T and C in their short forms: ours against ``llama_cpp.Llama`` behind a lock, in turns, on the same library."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.driving import is_valid
from benchmarks.gpu.measures import model_file, recorded_turns
from benchmarks.gpu.scale import scale
from benchmarks.gpu.steps import tell
from benchmarks.peer import Peer
from benchmarks.workloads import Call, chat_stream, crowd

__all__ = ["WORKLOADS"]

_DRY = bool(os.environ.get("DRY"))
_PEERS = {"ours": "ours", "llama behind a lock": "llama_lock"}


@contextmanager
def started(label: str, options: Mapping[str, Any] | None = None) -> Iterator[Peer]:
    with Peer(_PEERS[label], python=sys.executable) as peer, tempfile.TemporaryDirectory() as kept:
        given: dict[str, Any] = {"prefix_dir": kept} if label == "ours" else {"n_gpu_layers": 0 if _DRY else -1}
        peer.start(model_file(scale().model), given | dict(options or {}))
        peer.run([Call("warm up", 4).as_dict()])
        yield peer


def compared(title: str, measure: Callable[[Peer], tuple[float, str]]) -> None:
    """Tells the seconds of each, what is to be said of them, and the ratio."""
    seconds = {}
    for label in _PEERS:
        with started(label) as peer:
            seconds[label], said = measure(peer)
        tell(f"{title}: {label}", f"{seconds[label]:.3g} s{said}")
    tell(f"{title}: times faster", f"{seconds['llama behind a lock'] / seconds['ours']:.2f}")


def _crowd(peer: Peer) -> tuple[float, str]:
    total, valid, asked, first = 0.0, 0, 0, []
    for number in range(2):
        calls = [call.as_dict() for call in crowd(number, shared=scale().shared, own=scale().own, size=scale().crowd)]
        answers = peer.run(calls)
        total += max(answer["seconds"] for answer in answers)
        first.append(min(answer["seconds"] for answer in answers))
        valid += sum(is_valid(answer["text"]) for answer in answers)
        asked += len(answers)
    return total, f", first answer after {first[0]:.3g} and {first[1]:.3g} s, {valid} of {asked} valid"


def crowds() -> None:
    compared("two crowds", _crowd)


def turns() -> None:
    recorded = recorded_turns()

    def measure(peer: Peer) -> tuple[float, str]:
        total, asked = 0.0, 0
        for name in scale().turns:
            calls = [{**call, "after": [at for at in call["after"] if at < scale().calls]} for call in recorded[name]]
            answers = peer.run(calls[: scale().calls])
            total += max(answer["seconds"] for answer in answers)
            asked += len(answers)
        return total, f", {asked} calls"

    compared(f"turns {', '.join(scale().turns)}", measure)


def stream() -> None:
    call = {**chat_stream().as_dict(), "max_tokens": scale().stream}

    def measure(peer: Peer) -> tuple[float, str]:
        [answer] = peer.run([call])
        rate = (scale().stream - 1) / (answer["seconds"] - answer["first"]) if answer["cut"] else float("nan")
        return answer["seconds"], f", first token after {answer['first']:.3g} s, then {rate:.0f} tokens/s"

    compared("stream", measure)


def tuning() -> None:
    """Ours alone with other sizes: what should be the default on a card."""
    choices: list[dict[str, Any]] = [
        {},
        *({"n_ubatch": size} for size in (256, 1024, 2048)),
        *({"n_seq_max": count} for count in (8, 32)),
        {"flash_attention": "on"},
        {"flash_attention": "off"},
        {"unified_kv": False},
    ]
    for options in choices[:2] if _DRY else choices:
        with started("ours", options) as peer:
            seconds, said = _crowd(peer)
        tell(", ".join(f"{name} {value}" for name, value in options.items()) or "as it is", f"{seconds:.3g} s{said}")


WORKLOADS: dict[str, Callable[[], None]] = {"W": crowds, "T": turns, "C": stream, "tuning": tuning}
