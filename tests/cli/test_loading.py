"""The sign of life while a model loads."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest

from parlant_local.backends.base import Backend, ModelInfo
from parlant_local.cli.loading import loaded
from parlant_local.errors import ModelLoadError
from parlant_local.messages import ChatReply
from tests.support.eventually import eventually
from tests.support.screen import shown_on


class SlowBackend(Backend):
    """Loads when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.error = asyncio.Event(), error

    @property
    def load_progress(self) -> float | None:
        return 0.42

    async def load(self) -> None:
        await self.go.wait()
        if self.error is not None:
            raise self.error

    async def chat(self, messages: object, **options: object) -> ChatReply:
        raise NotImplementedError

    def model_info(self) -> ModelInfo:
        return ModelInfo("local/llama/large", name="large")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def in_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: between one and its test pytest sets the stream again."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


async def test_a_bar_shows_share_and_time_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    backend = SlowBackend()
    loading = asyncio.create_task(loaded(backend))
    await eventually(lambda: "42%" in terminal.getvalue())
    assert "Loading large" in terminal.getvalue()
    assert "0:00:0" in terminal.getvalue()
    backend.go.set()
    await loading
    assert shown_on(terminal.getvalue(), columns=100, rows=20) == ""


async def test_an_error_of_the_load_is_what_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    backend = SlowBackend(ModelLoadError("It is not a model."))
    backend.go.set()
    with pytest.raises(ModelLoadError, match="not a model"):
        await loaded(backend)
    assert terminal.getvalue() == ""


async def test_files_get_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    backend = SlowBackend()
    loading = asyncio.create_task(loaded(backend))
    await asyncio.sleep(0)
    backend.go.set()
    await loading
    assert stream.getvalue() == ""
