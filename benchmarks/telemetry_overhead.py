"""What telemetry costs a call: the shipped model answers the same calls with and without it, by turns, in one run.

On is the whole of it: spans and figures, batched, encoded and sent over HTTP to a collector on this machine, which reads and drops them.

python benchmarks/telemetry_overhead.py [--rounds 40] [--calls 8] [--save]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from parlant_local import telemetry
from parlant_local.backends import observing
from parlant_local.backends.llama_cpp import LlamaCppBackend
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
    batches = 0

    def do_POST(self) -> None:  # the base class's name
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).batches += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@contextlib.contextmanager
def collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


async def burst(backend: LlamaCppBackend, calls: int, number: int) -> float:
    """Seconds of processor time that the calls take; each asks something new, and as many tokens are written."""
    began = time.process_time()
    for call in range(calls):
        asked = f"{number}-{call}: {QUESTION}"
        await backend.chat(asked, temperature=0, max_tokens=48, response_format=FORM, prefix_group="S", session="s")
    return time.process_time() - began


async def measure(rounds: int, calls: int, home: Path) -> tuple[list[float], list[float]]:
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
                telemetry.flush()
    telemetry.stop()
    return times[False], times[True]


def report(off: list[float], on: list[float], calls: int) -> tuple[str, bool]:
    ratios = [b / a - 1 for a, b in zip(off, on, strict=True)]
    middle, spread = statistics.median(ratios), statistics.quantiles(ratios, n=4)
    per_call = (statistics.median(on) - statistics.median(off)) / calls * 1e6
    lines = [
        "| | |",
        "|---|---|",
        f"| processor time of a call, off | {statistics.median(off) / calls * 1e3:.2f} ms |",
        f"| more with telemetry (median of {len(ratios)} pairs) | {middle:+.2%} ({spread[0]:+.2%} to {spread[2]:+.2%}, the middle half) |",
        f"| that is, a call | {per_call:+.0f} µs |",
        f"| batches that arrived | {Sink.batches} |",
    ]
    return "\n".join(lines), middle < LIMIT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--save", action="store_true", help=f"keep the result in {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    with collector() as address, tempfile.TemporaryDirectory() as home:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = address
        off, on = asyncio.run(measure(given.rounds, given.calls, Path(home)))
    text, kept = report(off, on, given.calls)
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
