"""Parlant with a home of its own, settings that touch nothing of the user's, and stand-ins for what can't be reached."""

from __future__ import annotations

import asyncio
import asyncio.selector_events
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import tests.support.parlant_home  # noqa: F401
from parlant_local.settings import Settings
from tests.fakes.ollama import FakeOllama
from tests.fakes.openai import FakeOpenAI

Configure = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _no_ambient_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "OLLAMA_", "PARLANT_LOCAL_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def vllm() -> AsyncIterator[FakeOpenAI]:
    """An endpoint on this machine."""
    async with FakeOpenAI(name="vllm") as server:
        yield server


@pytest.fixture
async def daemon() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
def configure(tmp_path: Path, vllm: FakeOpenAI, daemon: FakeOllama) -> Configure:
    """Settings with the endpoint ``vllm`` and an Ollama daemon, both stand-ins on loopback."""

    def make(**more: Any) -> Settings:
        given: dict[str, Any] = {
            "home": tmp_path,
            "endpoints": {"vllm": {"base_url": vllm.base_url, "timeout_seconds": 1.0, "n_ctx": 8192}},
            "ollama.host": daemon.url,
            "engine.stall_seconds": 5.0,
            "moderation.mode": "none",
            "log_level": "error",
        }
        return Settings.load(None, **(given | more))

    return make


@pytest.fixture
def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every attempt to reach another machine fails and is listed; loopback works."""
    attempts: list[tuple[Any, ...]] = []

    def audit(address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(host, str) and host not in ("127.0.0.1", "::1", "localhost"):
            attempts.append(address)
            raise AssertionError(f"a connection to {address} was attempted")

    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex
    real_lookup, real_send = socket.getaddrinfo, socket.socket.sendto

    def connect(self: socket.socket, address: Any) -> Any:
        audit(address)
        return real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> Any:
        audit(address)
        return real_connect_ex(self, address)

    def lookup(host: Any, *arguments: Any, **named: Any) -> Any:
        audit((host,) if host is not None else ("127.0.0.1",))
        return real_lookup(host, *arguments, **named)

    def send(self: socket.socket, data: Any, *arguments: Any) -> Any:
        audit(arguments[-1])
        return real_send(self, data, *arguments)

    async def loop_connect(self: Any, sock: socket.socket, address: Any) -> None:
        audit(address)
        await real_loop_connect(self, sock, address)

    real_loop_connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", loop_connect)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", send)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return attempts
