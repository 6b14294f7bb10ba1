"""What telemetry costs a call: the shipped model answers the same calls with and without it, by turns, in one run.

On is the whole of it: spans and figures, batched, encoded and sent over HTTP, after each round, to a collector on this machine that reads and
drops them. Counted is the processor time of the process, threads included.

python benchmarks/telemetry_overhead.py [--rounds 12] [--calls 40] [--save]
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import os
import statistics
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from parlant_local import telemetry
from parlant_local.backends import observing
from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.messages import ChatReply, Usage
from parlant_local.settings import EngineSettings, Settings, TelemetrySettings

LIMIT = 0.01
ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/evidence/telemetry.md"
MODEL = ROOT / "src/parlant_local/models/parlant-local-tiny.gguf"
QUESTION = "What is the capital of France? " * 40
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 60}}, "required": ["a"]}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


def collector() -> str:
    """The address of one in a process of its own, whose time is not counted, and which outlives OpenTelemetry's last sending."""
    process = subprocess.Popen([sys.executable, __file__, "--sink"], stdout=subprocess.PIPE, text=True)
    atexit.register(process.terminate)
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


def sink() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_address[1], flush=True)
    server.serve_forever()


async def burst(backend: LlamaCppBackend, calls: int, number: int) -> float:
    """Seconds of processor time that the calls take, and the sending of what is told of them; each asks something new."""
    began = time.process_time()
    for call in range(calls):
        asked = f"{number}-{call}: {QUESTION}"
        await backend.chat(asked, temperature=0, max_tokens=48, response_format=FORM, prefix_group="S", session="s")
    telemetry.flush()
    return time.process_time() - began


class Instant(Backend):
    """Answers at once, so that nothing but telemetry is measured."""

    def model_info(self) -> ModelInfo:
        return ModelInfo("instant")

    @observing.observed("chat")
    async def chat(self, messages: Any, **options: Any) -> ChatReply:  # noqa: ARG002
        return ChatReply("{}", model="instant", usage=Usage(400, 50))


async def alone(watcher: Any) -> float:
    """Seconds of processor time that telemetry takes of one call, its sending included."""
    seconds = {}
    for on in (False, True):
        observing._observer = watcher if on else None
        began = time.process_time()
        for _ in range(20):
            for _ in range(100):
                await Instant().chat(QUESTION, temperature=0, max_tokens=48, response_format=FORM, session="s")
            telemetry.flush()
        seconds[on] = time.process_time() - began
    return (seconds[True] - seconds[False]) / 2000


async def measure(rounds: int, calls: int, home: Path) -> tuple[list[float], list[float], float]:
    settings = Settings(
        home=home, engine=EngineSettings(n_ctx=4096, n_threads=1), telemetry=TelemetrySettings(enabled=True)
    )
    telemetry.start(settings)
    watcher = observing._observer
    times: dict[bool, list[float]] = {False: [], True: []}
    async with LlamaCppBackend(MODEL, settings=settings) as backend:
        await burst(backend, calls, -1)
        for number in range(rounds):
            for on in (False, True) if number % 2 else (True, False):
                observing._observer = watcher if on else None
                times[on].append(await burst(backend, calls, 2 * number + on))
    each = await alone(watcher)
    assert not telemetry.unsent(), "everything has arrived"
    telemetry.stop()
    return times[False], times[True], each


def report(off: list[float], on: list[float], each: float, calls: int) -> tuple[str, bool]:
    ratios = [b / a - 1 for a, b in zip(off, on, strict=True)]
    middle, spread = statistics.median(ratios), statistics.quantiles(ratios, n=4)
    call = statistics.median(off) / calls
    lines = [
        "| | |",
        "|---|---|",
        f"| processor time of a call, off | {call * 1e3:.2f} ms |",
        f"| more with telemetry (median of {len(ratios)} pairs) | {middle:+.2%} ({spread[0]:+.2%} to {spread[2]:+.2%}, the middle half) |",
        f"| telemetry alone, over a backend that answers at once | {each * 1e6:.0f} µs a call, {each / call:.2%} of it |",
    ]
    return "\n".join(lines), max(middle, each / call) < LIMIT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--save", action="store_true", help=f"keep the result in {PAGE.relative_to(ROOT)}")
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sink:
        sink()
    with tempfile.TemporaryDirectory() as home:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector()
        off, on, each = asyncio.run(measure(given.rounds, given.calls, Path(home)))
    text, kept = report(off, on, each, given.calls)
    print(text)
    print(f"limit {LIMIT:.0%}: {'kept' if kept else 'EXCEEDED'}")
    if given.save:
        sys.path.insert(0, str(ROOT))
        from tests.support.evidence import write_section

        command = f"python benchmarks/telemetry_overhead.py --rounds {given.rounds} --calls {given.calls} --save"
        write_section(PAGE, "Overhead", f"{' '.join(__doc__.split('python ')[0].split())}\n\n{text}", command=command)
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
