"""The recipes of docs/telemetry.md, as far as they go without the services: address, headers and form of what is sent."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

DOCS = Path(__file__).parents[2] / "docs" / "telemetry.md"
Request = tuple[str, dict[str, str], bytes]

_CALL = """
import asyncio, sys
from parlant_local import LlamaService, telemetry
from parlant_local.settings import EngineSettings, Settings
async def main():
    service = LlamaService(model_id="local/llama/parlant-local-tiny",
                           settings=Settings(home=sys.argv[1], engine=EngineSettings(n_ctx=1024, n_threads=1)))
    await service.backend.chat("What is the capital of France?", temperature=0, max_tokens=8, session="s-1")
    await service.close()
    telemetry.flush()
    print(telemetry.unsent())
asyncio.run(main())
"""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Request]]]:
    """Any service that takes OTLP over HTTP, at the address that a recipe names."""
    seen: list[Request] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def _recipe(title: str, address: str) -> dict[str, str]:
    """The exports of the block below ``title``, with the collector in the place of the service."""
    block = DOCS.read_text("utf-8").partition(f"## {title}\n")[2].partition("```sh\n")[2].partition("```")[0]
    shell = re.sub(r"https://[a-z.-]+", address, block) + "\nenv -0"
    printed = subprocess.run(["bash", "-c", shell], capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    pairs = (line.partition("=") for line in printed.stdout.decode().split("\0") if line)
    return {name: value for name, _, value in pairs if name.startswith(("OTEL_", "PARLANT_LOCAL_"))}


def _sent(home: Path, recipe: dict[str, str]) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", _CALL, str(home)], env=clean | recipe, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the recipes are for a POSIX shell")
@pytest.mark.parametrize(
    ("title", "path", "headers", "others"),
    [
        (
            "Langfuse",
            "/api/public/otel/v1/traces",
            {
                "authorization": f"Basic {base64.b64encode(b'pk-lf-1234567890:sk-lf-1234567890').decode()}",
                "x-langfuse-ingestion-version": "4",
            },
            [],
        ),
        ("Logfire", "/v1/traces", {"authorization": "your-write-token"}, ["/v1/metrics"]),
    ],
)
def test_a_recipe_sends_a_call_where_and_as_the_service_wants_it(
    title: str,
    path: str,
    headers: dict[str, str],
    others: list[str],
    collector: tuple[str, list[Request]],
    tmp_path: Path,
) -> None:
    address, seen = collector
    assert _sent(tmp_path, _recipe(title, address)).strip() == "[]"
    by_path = {where: (told, body) for where, told, body in seen}
    assert sorted(by_path) == sorted([path, *others])
    told, body = by_path[path]
    assert told["content-type"] == "application/x-protobuf"
    assert {name: told.get(name) for name in headers} == headers
    spans = [
        span
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert [span.name for span in spans] == ["chat local/llama/parlant-local-tiny"]
    names = {item.key for item in spans[0].attributes}
    assert {"gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.conversation.id"} <= names
    assert b"France" not in body


@pytest.mark.skipif(sys.platform == "win32", reason="the recipes are for a POSIX shell")
def test_a_collector_that_is_gone_is_known_and_loses_no_call(tmp_path: Path) -> None:
    recipe = {
        "PARLANT_LOCAL_TELEMETRY__ENABLED": "true",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    assert _sent(tmp_path, recipe).strip() == "['traces']"
