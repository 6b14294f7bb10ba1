"""What is done with a system in each workload, and what is noted."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.models import CACHE
from benchmarks.peer import Peer
from benchmarks.record import record
from benchmarks.workloads import SCHEMA, Call, chat_stream, crowd, texts

__all__ = ["WORKLOADS", "Figures", "Row", "Workload"]


@dataclass(frozen=True)
class Row:
    """A column of the table: what was measured, in which unit, and whether more is better."""

    name: str
    unit: str = "s"
    more_is_better: bool = False


@dataclass
class Figures:
    """Values per repetition, by what was measured."""

    values: dict[Row, list[float]] = field(default_factory=dict)
    notes: dict[str, list[float]] = field(default_factory=dict)
    """Figures of ours alone, told below the table."""
    valid: int = 0
    answers: int = 0
    vectors: list[list[float]] | None = None

    def note(self, row: Row, value: float) -> None:
        self.values.setdefault(row, []).append(value)

    def remark(self, what: str, value: float) -> None:
        self.notes.setdefault(what, []).append(value)

    def median(self, row: Row) -> float:
        return statistics.median(self.values[row])


_SHARED = 1050  # words, some 1,500 tokens

Drive = Callable[[Peer, Figures, Callable[[], Peer]], None]
"""Drives a started system, notes figures, and may start it again."""


@dataclass(frozen=True)
class Workload:
    drive: Drive
    systems: tuple[tuple[str, str, Mapping[str, Any]], ...]
    """Label, name of the system, its options. Of peers with several, the best counts."""
    slow: frozenset[str] = frozenset()
    """Labels that a quick run leaves out: another option of the same peer was faster wherever it was measured."""
    quick: int = 2
    """Repetitions of a quick run."""
    model: str | None = None
    """Always this one."""


def _crowds(peer: Peer, figures: Figures, _: Callable[[], Peer]) -> None:
    """W: eight schema-bound calls at once that share 1,500 of 1,650 prompt tokens; then a second round with new own parts."""
    facts = _Facts(peer, figures)
    floors = []
    for number, label in ((0, "cold"), (1, "next")):
        calls = [call.as_dict() for call in crowd(number, shared=_SHARED, own=100)]
        answers = peer.run(calls)
        seconds = max(answer["seconds"] for answer in answers)
        figures.note(Row(label), seconds)
        figures.note(Row(f"{label}, first answer"), min(answer["seconds"] for answer in answers))
        figures.answers += len(answers)
        figures.valid += sum(is_valid(answer["text"]) for answer in answers)
        floors.append((label, seconds, calls, facts.since_last()))
    if not facts.known:
        return
    rates = peer.rates(depth=1500)  # last: it fills the engine with other prompts
    figures.remark("prefill, tokens/s", rates["prefill"])
    figures.remark("decode at 1,500 tokens, tokens/s", rates["decode"])
    for label, seconds, calls, did in floors:
        new = calls if label == "cold" else [{**call, "prompt": _own_part(call["prompt"])} for call in calls]
        unique = peer.count(new)
        floor = unique / rates["prefill"] + did["sampled_tokens"] / rates["decode"]
        figures.remark(f"{label}: floor, s", floor)
        figures.remark(f"{label}: times the floor", seconds / floor)
        figures.remark(f"{label}: unique prompt tokens", unique)
        figures.remark(f"{label}: prefilled tokens", did["prefilled_tokens"])
        figures.remark(f"{label}: sampled tokens", did["sampled_tokens"])
        figures.remark(f"{label}: forced tokens", did["forced_tokens"])
        figures.remark(f"{label}: steps", did["steps"])
        figures.remark(f"{label}: outside llama_decode, %", 100 * did["outside"])
        figures.remark(f"{label}: no step running, %", 100 * (1 - did["busy"] / seconds))


def _own_part(prompt: str) -> str:
    return " ".join(prompt.split(" ")[_SHARED:])


def _turns(peer: Peer, figures: Figures, restart: Callable[[], Peer]) -> None:
    """T: a recorded Parlant server's calls: a first turn, two more, another conversation, and one after a restart."""
    phases: dict[str, list[dict[str, Any]]] = {}
    for item in record(CACHE / "parlant.json"):
        phases.setdefault(item["phase"], []).append({**item["call"], "after": item["after"]})
    facts = _Facts(peer, figures)
    for label, names in (("turn 1", ["1.1"]), ("turns 2-3", ["1.2", "1.3"]), ("next conversation", ["2.1"])):
        figures.note(Row(label), sum(_run_phase(peer, phases[name], figures) for name in names))
        facts.tell_reuse(label)
    peer.stop()
    with restart() as again:
        facts = _Facts(again, figures)
        figures.note(Row("after a restart"), _run_phase(again, phases["3.1"], figures))
        facts.tell_reuse("after a restart")


def _run_phase(peer: Peer, calls: list[dict[str, Any]], figures: Figures) -> float:
    answers = peer.run(calls)
    figures.answers += len(answers)
    figures.valid += sum(is_valid(answer["text"], call["schema"]) for answer, call in zip(answers, calls, strict=True))
    return max(answer["seconds"] for answer in answers)


def _stream(peer: Peer, figures: Figures, _: Callable[[], Peer]) -> None:
    """C: one plain chat stream of 256 tokens."""
    peer.run([Call("warm up", 8).as_dict()])
    call = chat_stream()
    [answer] = peer.run([call.as_dict()])
    if not answer["cut"]:  # its tokens are not counted, so it must have as many as it may
        raise RuntimeError(f"{peer.name} ended its answer by itself; give C another prompt.")
    figures.note(Row("whole answer"), answer["seconds"])
    figures.note(Row("first token"), answer["first"])
    rate = (call.max_tokens - 1) / (answer["seconds"] - answer["first"])
    figures.note(Row("then", "tokens/s", more_is_better=True), rate)


def _embed(peer: Peer, figures: Figures, _: Callable[[], Peer]) -> None:
    """E: 256 short texts embedded."""
    vectors, seconds = peer.embed(texts())
    figures.note(Row("256 texts"), seconds)
    figures.note(Row("rate", "texts/s", more_is_better=True), len(vectors) / seconds)
    figures.vectors = vectors
    lengths = np.linalg.norm(np.asarray(vectors), axis=1)
    figures.answers += len(vectors)
    figures.valid += int(np.isclose(lengths, 1, atol=1e-3).sum())


class _Facts:
    """What the engine did between two looks; peers tell nothing."""

    _TOTALS = ("prompt_tokens", "prefilled_tokens", "reused_tokens", "sampled_tokens", "forced_tokens", "steps")

    def __init__(self, peer: Peer, figures: Figures) -> None:
        self._peer = peer
        self._figures = figures
        self._last = peer.facts()
        self.known = bool(self._last)

    def since_last(self) -> dict[str, float]:
        if not self.known:
            return {}
        now = self._peer.facts()
        did = {name: now[name] - self._last[name] for name in self._TOTALS}
        decode, other = (now[name] - self._last[name] for name in ("decode_seconds", "other_seconds"))
        self._last = now
        return {**did, "outside": other / (decode + other), "busy": decode + other}

    def tell_reuse(self, label: str) -> None:
        if did := self.since_last():
            self._figures.remark(f"{label}: prompt tokens", did["prompt_tokens"])
            self._figures.remark(f"{label}: of them reused, %", 100 * did["reused_tokens"] / did["prompt_tokens"])
            self._figures.remark(f"{label}: outside llama_decode, %", 100 * did["outside"])


def is_valid(text: str, schema: dict[str, Any] = SCHEMA) -> bool:
    import jsonschema

    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


_OURS = ("ours", "ours", {})
_LOCK = ("llama behind a lock", "llama_lock", {})
_FLASH = ("llama behind a lock, flash", "llama_lock", {"flash_attn": True})
_SERVER = ("llama_cpp.server", "llama_server", {})
_SPLIT = ("xllamacpp, split", "xllamacpp", {"unified": False})
_UNIFIED = ("xllamacpp, unified", "xllamacpp", {"unified": True})
_GENERATING = (_OURS, _LOCK, _FLASH, _SERVER, _SPLIT, _UNIFIED)
_EMBEDDING = (
    ("ours", "ours, embedding", {}),
    ("llama, one by one", "llama, embedding", {"together": False}),
    ("llama, one list", "llama, embedding", {"together": True}),
    ("xllamacpp, 8 calls at once", "xllamacpp, embedding", {"together": False}),
    ("xllamacpp, one list", "xllamacpp, embedding", {"together": True}),
)

WORKLOADS: dict[str, Workload] = {
    "W": Workload(_crowds, _GENERATING, frozenset({_FLASH[0], _SERVER[0], _UNIFIED[0]}), quick=1),
    "T": Workload(_turns, (_OURS, _LOCK, _FLASH, _SPLIT, _UNIFIED), frozenset({_FLASH[0], _UNIFIED[0]}), quick=1),
    "C": Workload(_stream, (_OURS, _LOCK, _FLASH, _SERVER, _SPLIT), frozenset({_FLASH[0]}), quick=3),
    "E": Workload(_embed, _EMBEDDING, quick=3, model="embedder"),
}
