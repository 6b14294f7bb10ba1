"""Telemetry is off, costs no import, and says what it needs; on, a server's calls belong to the caller's trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parlant_local import telemetry
from parlant_local.errors import ConfigurationError
from parlant_local.settings import Settings, TelemetrySettings

_SERVE = """
import asyncio, sys
import httpx2
from parlant_local.server.app import create_app
from parlant_local.settings import Settings
from tests.support.in_process import serving_here
settings = Settings.load(None, home=sys.argv[1], **{"engine.n_ctx": 1024, **eval(sys.argv[2])})
with serving_here(settings) as server:
    print("loaded" if "opentelemetry.sdk" in sys.modules else "not loaded", file=sys.stderr)
    answer = httpx2.post(
        server.url + "/v1/chat/completions", timeout=60,
        headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        json={"model": "local/llama/parlant-local-tiny", "messages": [{"role": "user", "content": "What is the capital of France?"}],
              "temperature": 0, "max_tokens": 16},
    )
    assert answer.status_code == 200, answer.text
"""


def _served(home: Path, **settings: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, str(home), repr(settings)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_off_nothing_of_it_is_imported(tmp_path: Path) -> None:
    assert "not loaded" in _served(tmp_path)


def test_on_a_servers_calls_are_printed_and_belong_to_the_callers_trace(tmp_path: Path) -> None:
    said = _served(tmp_path, **{"telemetry.enabled": True, "telemetry.exporter": "console"})
    start = said.index('{\n    "name": "chat')
    span, _ = json.JSONDecoder().raw_decode(said[start:])
    assert span["context"]["trace_id"] == "0x0af7651916cd43dd8448eb211c80319c"
    assert span["parent_id"] == "0xb7ad6b7169203331"
    assert span["attributes"]["gen_ai.request.model"] == "local/llama/parlant-local-tiny"
    assert "France" not in said


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("parlant_local.telemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match="telemetry") as refused:
        telemetry.start(Settings(telemetry=TelemetrySettings(enabled=True)))
    assert "parlant-local[otel]" in refused.value.hint


def test_a_protocol_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from parlant_local.telemetry.providers import _spans_to

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon")
    with pytest.raises(ConfigurationError, match="pigeon"):
        _spans_to(TelemetrySettings())
