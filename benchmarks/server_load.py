"""``python -m benchmarks.server_load [--rounds 3] [--save]``: clients that share a prefix, streaming chats over HTTP.

Eight clients begin at once with one long system prompt, and each asks two questions, one after the other. Ours and the peers'
servers take turns on the same model, each started afresh for every round. Tokens per second are those of all clients over the
whole run; time to first token is the median over all questions, from the request to the first piece of text.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.__main__ import prepare_peers
from benchmarks.models import CACHE, model_path
from benchmarks.peer import PEER_PYTHON, ROOT
from benchmarks.workloads import words

CLIENTS = 8
QUESTIONS = 2
N_CTX = 4096  # of one request
SHARED_WORDS, OWN_WORDS = 1050, 100
MAX_TOKENS = 64
THREADS = len(os.sched_getaffinity(0))
EVIDENCE = ROOT / "docs/evidence/server-load.md"
PEER_PACKAGES = ("xllamacpp", "llama-cpp-python")

# What is tried of each system; the best configuration of a peer is what ours is compared with.
SYSTEMS: dict[str, tuple[str, dict[str, str]]] = {
    "ours": ("ours", {}),
    "xllamacpp, split": ("xllamacpp", {"cache": "split"}),
    "xllamacpp, unified": ("xllamacpp", {"cache": "unified"}),
    # With its own cache of states (--cache true) it took half as long again, and is left out of the rounds.
    "llama_cpp.server": ("llama_cpp.server", {}),
}


@dataclass
class Answer:
    asked: float
    first: float
    """Seconds from the request to the first text."""
    ended: float
    tokens: int


@dataclass
class Figures:
    """One value per round."""

    throughput: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    first_cold: list[float] = field(default_factory=list)
    """Of everybody's first question, for which no prefix is known yet."""
    first_later: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_load", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="WORD", help="systems whose label has this word")
    parser.add_argument("--save", action="store_true", help=f"write {EVIDENCE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    prepare_peers()
    model = visible_model()
    figures = {label: Figures() for label in SYSTEMS if (arguments.only or "") in label}
    for number in range(arguments.rounds):
        for label, found in figures.items():
            name, options = SYSTEMS[label]
            with serving(name, model, options) as (url, asked):
                note(found, asyncio.run(crowd(url, asked, number)))
            told = ", ".join(f"{name} {values[-1]:.2f}" for name, values in vars(found).items())
            print(f"round {number + 1}, {label}: {told}", file=sys.stderr)
    table = report(figures)
    print(table)
    if arguments.save:
        EVIDENCE.write_text(page(table, arguments.rounds))


def visible_model() -> Path:
    """The benchmark model, with the fillers of its vocabulary written out: one has to see the first token to time it."""
    source = model_path("small")
    path = CACHE / "small-visible-q4_k_m.gguf"
    if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
        from gguf import GGUFReader, TokenType

        part = path.with_suffix(".part")
        shutil.copyfile(source, part)
        reader = GGUFReader(str(part), "r+")
        kinds = reader.fields["tokenizer.ggml.token_type"]
        for index in kinds.data:
            if kinds.parts[index][0] == TokenType.UNUSED:
                kinds.parts[index][0] = TokenType.NORMAL
        reader.data.flush()
        part.replace(path)
    return path


# -- servers ----------------------------------------------------------------------------------------------------------


@contextmanager
def serving(name: str, model: Path, options: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A server's address, and the model's name there, from when it is ready."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
        command, asked, ready = start_of(name, model, port, options)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PARLANT_LOCAL_")}
        mine = (
            {"PARLANT_LOCAL_HOME": home, "PARLANT_LOCAL_ENGINE__N_CTX": str(N_CTX), **options} if name == "ours" else {}
        )
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env={**kept, **mine})
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}{ready}", process, log)
            yield url, asked
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start_of(name: str, model: Path, port: int, options: dict[str, str]) -> tuple[list[str], str, str]:
    """Command, name of the model, and the path that answers 200 when it is loaded."""
    if name == "ours":
        own = [sys.executable, "-c", "from parlant_local.cli import main; main()"]
        return [*own, "serve", "--port", str(port), "--model", str(model)], "", "/health"
    if name == "xllamacpp":
        own = [str(PEER_PYTHON), "-m", "benchmarks.http_peer", str(model), str(port), str(N_CTX)]
        return [*own, str(CLIENTS), options["cache"], str(THREADS)], "any", "/health"
    own = [
        str(PEER_PYTHON),
        "-m",
        "llama_cpp.server",
        "--model",
        str(model),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    return [
        *own, "--n_ctx", str(N_CTX), "--n_batch", "2048", "--n_threads", str(THREADS), "--n_threads_batch", str(THREADS),
        # By default a new request breaks off the one before it.
        "--interrupt_requests", "false", "--verbose", "false",
    ], "any", "/v1/models"  # fmt: skip


def wait_for(url: str, process: subprocess.Popen[bytes], log: Any) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=5).status_code == 200:
                return
        time.sleep(0.1)
    log.seek(0)
    raise SystemExit(f"{url} never answered: {log.read()[-2000:].decode('utf-8', 'replace')}")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# -- clients ----------------------------------------------------------------------------------------------------------


async def crowd(url: str, model: str, number: int) -> list[list[Answer]]:
    """The answers of each client. Every round has a prefix of its own, though servers start afresh anyway."""
    system = words(10_000 + number, SHARED_WORDS)
    # A connection per request: xllamacpp's server closes idle ones just when they are used again.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(base_url=url, timeout=600, limits=limits, trust_env=False) as http:
        return await asyncio.gather(*(client(http, model, system, 100 * number + index) for index in range(CLIENTS)))


async def client(http: httpx2.AsyncClient, model: str, system: str, seed: int) -> list[Answer]:
    found = []
    for question in range(QUESTIONS):
        body: dict[str, Any] = {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": words(1000 * (seed + 1) + question, OWN_WORDS)},
            ],
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
            "stream": True,
        }
        found.append(await stream(http, body | ({"model": model} if model else {})))
    return found


async def stream(http: httpx2.AsyncClient, body: dict[str, Any]) -> Answer:
    asked = time.perf_counter()
    first = finish = None
    pieces = 0
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            raise SystemExit(f"{answer.status_code}: {(await answer.aread()).decode()}")
        async for line in answer.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            for choice in json.loads(line[6:])["choices"]:
                if choice["delta"].get("content"):
                    pieces += 1
                    first = first or time.perf_counter() - asked
                finish = choice["finish_reason"] or finish
    if first is None or finish not in ("stop", "length"):
        raise SystemExit(f"A stream brought {pieces} pieces and ended with {finish}.")
    # Cut by the limit it has as many tokens as were allowed, however they came.
    return Answer(asked, first, time.perf_counter(), MAX_TOKENS if finish == "length" else pieces)


# -- figures ----------------------------------------------------------------------------------------------------------


def note(figures: Figures, clients: list[list[Answer]]) -> None:
    answers = [answer for found in clients for answer in found]
    took = max(answer.ended for answer in answers) - min(answer.asked for answer in answers)
    figures.throughput.append(sum(answer.tokens for answer in answers) / took)
    figures.first.append(statistics.median(answer.first for answer in answers))
    figures.first_cold.append(statistics.median(found[0].first for found in clients))
    figures.first_later.append(statistics.median(answer.first for found in clients for answer in found[1:]))
    figures.worst.append(max(answer.first for answer in answers))


def report(figures: dict[str, Figures]) -> str:
    """A table; ratios above one are in our favour."""
    ours = next((found for label, found in figures.items() if label.startswith("ours")), None)
    lines = [
        "| system | tokens/s | ours is | first text | ours is | of first questions | ours is | of later ones | ours is | worst |",
        "|" + "---|" * 10,
    ]
    for label, found in figures.items():
        cells = [label]
        for name, up in (("throughput", True), ("first", False), ("first_cold", False), ("first_later", False)):
            theirs = statistics.median(getattr(found, name))
            cells.append(f"{theirs:.1f}" if up else f"{theirs:.2f} s")
            if ours is None or found is ours:
                cells.append("")
            else:
                mine = statistics.median(getattr(ours, name))
                cells.append(f"{mine / theirs if up else theirs / mine:.2f}x")
        lines.append("| " + " | ".join([*cells, f"{statistics.median(found.worst):.2f} s"]) + " |")
    return "\n".join(lines)


def page(table: str, rounds: int) -> str:
    asked = f"import importlib.metadata as m; print(*(p + ' ' + m.version(p) for p in {PEER_PACKAGES!r}), sep=', ')"
    versions = subprocess.run([PEER_PYTHON, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    return (
        "# The server under eight clients\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {THREADS} cores ({platform.machine()}), no GPU. `python -m benchmarks.server_load "
        f"--rounds {rounds} --save`.\n\n"
        f"{CLIENTS} clients share a system prompt of {SHARED_WORDS} words, and each asks {QUESTIONS} questions of {OWN_WORDS} words, "
        f"one after the other, as streaming chats over HTTP with {MAX_TOKENS} tokens an answer, on the 100 M benchmark model "
        "(Q4_K_M, random weights). Each server is started afresh for every round, the servers take turns, and every figure is the "
        f"median of {rounds} rounds. *First text*: seconds from a question to the first piece of its answer, the median over all questions, "
        "over everybody's first one (nobody knows the prefix yet), over the later ones, and the worst. *Ours is*: how many times "
        "better the first line is than this one.\n\n"
        f"{table}\n\n"
        f"Peers: {versions}, {CLIENTS} slots, {N_CTX} tokens each, all cores; `llama_cpp.server` answers one request at a time.\n"
    )


if __name__ == "__main__":
    main()
