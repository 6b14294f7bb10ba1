"""`parlant-local demo` and `parlant-local agent`, which docs/parlant.md shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import parlant_local.factory
from parlant_local.agent.demo import run_demo
from parlant_local.agent.serving import free_port, require_free
from parlant_local.errors import ConfigurationError, ParlantLocalError
from parlant_local.nlp import LocalNLPService
from parlant_local.settings import Settings
from tests.fakes.scripted import ScriptedBackend
from tests.support.host_pauses import PROGRAM, leave_out
from tests.support.parlant_server import close_sockets
from tests.support.places import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore")

RUN = "from parlant_local.cli.main import main; main()"


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PARLANT_LOCAL_", "PARLANT_HOME"))}
    return {**kept, "XDG_DATA_HOME": str(tmp_path)}


def test_the_demo_prints_three_answers_and_three_turns_with_what_they_cost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "demo"],
        env=environment(tmp_path), cwd=REPOSITORY, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum(" -> " in line for line in lines) == 3
    assert sum(line.startswith("Customer: ") for line in lines) == 3
    assert sum(line.startswith("Agent: ") for line in lines) >= 3
    turns = [line for line in lines if line.startswith("  turn: ")]
    assert len(turns) == 3
    assert all(re.search(r"\d+ model calls, \d+ prompt tokens .* \d+\.\d s$", line) for line in turns)
    assert "parlant-local demo --model" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "+++" not in done.stderr  # Parlant's logo
    assert (done.stdout + done.stderr).count("only shows that the installation works") == 1
    assert all(line.startswith(("Starting a Parlant server", "…", "warning: ")) for line in done.stderr.splitlines())
    homes = list((tmp_path / "parlant-local" / "parlant").iterdir())
    assert [home.name for home in homes] == ["local-llama-parlant-local-tiny"]


@pytest.mark.evidence
def test_the_cause_of_a_silent_agent_is_in_the_last_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, "demo"],
        env={**environment(tmp_path), "PARLANT_LOCAL_ENGINE__N_CTX": "2048"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert re.search(r"did not reply.*The prompt has \d+ tokens; the context holds 2048", lines[-1])
    assert len(lines) == len(set(lines)) < 12
    assert max(map(len, lines)) < 1000
    assert "Traceback" not in done.stderr


def silent(call: Any) -> Any:
    """A draft that says nothing, from a backend that does not keep to the schema it was given."""
    return {"last_message_of_user": "", "guidelines": [], "response_body": None}


async def test_a_turn_without_a_reply_ends_the_demo_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend() -> ScriptedBackend:
        return ScriptedBackend(answers={"CannedResponseDraftSchema": silent})

    def nlp_service(container: Any, *, settings: Settings) -> LocalNLPService:
        return LocalNLPService(backend(), container=container, settings=settings)

    monkeypatch.setattr(parlant_local.factory, "model_backend", lambda settings: ("local/test/silent", backend()))
    monkeypatch.setattr(parlant_local.factory, "nlp_service", nlp_service)
    leave_out(monkeypatch)
    said: list[str] = []
    noted: list[str] = []
    with pytest.raises(
        ParlantLocalError, match=r"did not reply to 'Hello.*finished without a reply\. The cause: "
    ) as raised:
        await run_demo(Settings.load(), say=said.append, note=noted.append)
    await close_sockets()
    assert "CannedResponseDraftSchema" in raised.value.hint
    assert not any("\x1b" in line or "Traceback" in line for line in noted)
    assert len(noted) == len(set(noted))
    assert not any(line.startswith("Agent:") for line in said)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "agent", "--port", str(port)],
        env=environment(tmp_path),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            address = found.group()
            break
    yield process, address
    if process.poll() is None:
        process.kill()
    process.stdout.close()
    process.wait()


def test_the_agent_serves_its_chat_page_until_it_is_interrupted(agent: tuple[subprocess.Popen[str], str]) -> None:
    process, address = agent
    page = httpx.get(address, follow_redirects=True, timeout=10)
    assert page.status_code == 200
    assert "<html" in page.text
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert process.stdout is not None
    assert "Stopped." in process.stdout.read()


def test_a_taken_port_is_said_before_anything_is_loaded() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match=f"port {taken.getsockname()[1]}.*--port"):
            require_free("127.0.0.1", taken.getsockname()[1])
