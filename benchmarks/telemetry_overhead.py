"""What telemetry costs a call: the shipped model answers the same calls with and without it, by turns, in one run.

On is the whole of it: spans and figures, batched, encoded and sent over HTTP to a collector on this machine that reads and
drops them. Counted is the processor time of the process, threads included.

python benchmarks/telemetry_overhead.py [--save]
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
QUESTION = "What is the capital of France? "
SIZES = {"small: 300 tokens of prompt": (40, 300), "as Parlant's: 3,000 tokens of prompt": (420, 60)}
"""Repetitions of the question, and pairs of calls."""
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


async def once(backend: LlamaCppBackend, number: str, size: int) -> float:
    """Seconds of processor time of a call that asks something new."""
    began = time.process_time()
    asked = f"{number}: {QUESTION * size}"
    await backend.chat(asked, temperature=0, max_tokens=48, response_format=FORM, prefix_group="S", session="s")
    return time.process_time() - began


class Instant(Backend):
    """Answers at once, so that nothing but telemetry is measured."""

    def model_info(self) -> ModelInfo:
        return ModelInfo("instant")

    @observing.observed("chat")
    async def chat(self, messages: Any, **options: Any) -> ChatReply:
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


async def measure(home: Path) -> tuple[str, bool]:
    settings = Settings(
        home=home, engine=EngineSettings(n_ctx=8192, n_threads=1), telemetry=TelemetrySettings(enabled=True)
    )
    telemetry.start(settings)
    watcher = observing._observer
    lines = ["| call | processor time, off | more with telemetry: median of pairs | middle half |", "|---|---|---|---|"]
    async with LlamaCppBackend(MODEL, settings=settings) as backend:
        for name, (size, pairs) in SIZES.items():
            off, ratios = await compared(backend, watcher, size, pairs)
            low, middle, high = statistics.quantiles(ratios, n=4)
            lines.append(f"| {name} | {off * 1e3:.1f} ms | {middle:+.2%} of {pairs} | {low:+.2%} to {high:+.2%} |")
    each = await alone(watcher)
    assert not telemetry.unsent(), "everything has arrived"
    telemetry.stop()
    lines.append(f"| of a backend that answers at once, with the sending | | {each * 1e6:.0f} µs | |")
    return "\n".join(lines), middle < LIMIT


async def compared(backend: LlamaCppBackend, watcher: Any, size: int, pairs: int) -> tuple[float, list[float]]:
    """Seconds of a call without telemetry, and how much more each one with it took."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for warm in range(4):
        await once(backend, f"warm {warm}", size)
    for number in range(pairs):
        # What is asked goes with the place in the pair, not with telemetry: answers have different lengths.
        for place, on in enumerate((False, True) if number % 2 else (True, False)):
            observing._observer = watcher if on else None
            times[on].append(await once(backend, f"{number} {place}", size))
    return statistics.median(times[False]), [b / a - 1 for a, b in zip(times[False], times[True], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help=f"keep the result in {PAGE.relative_to(ROOT)}")
    parser.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sink:
        sink()
    with tempfile.TemporaryDirectory() as home:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector()
        text, kept = asyncio.run(measure(Path(home)))
    print(text)
    print(f"limit {LIMIT:.0%} of a call as Parlant's: {'kept' if kept else 'EXCEEDED'}")
    if given.save:
        sys.path.insert(0, str(ROOT))
        from tests.support.evidence import write_section

        command = "python benchmarks/telemetry_overhead.py --save"
        write_section(PAGE, "Overhead", f"{' '.join(__doc__.split('python ')[0].split())}\n\n{text}", command=command)
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
