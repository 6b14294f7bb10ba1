"""The processes that decode: kept, one file to a fork, ended by what breaks them."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from parlant_local.engine.media import decoders
from parlant_local.engine.media.decoders import Decoders
from tests.backends.test_seeing import picture
from tests.support.eventually import eventually

HEAD: dict[str, Any] = {
    "kind": "image",
    "wanted": "colours",
    "formats": ["PNG"],
    "pixels": 10**6,
    "side": 100,
    "memory": 1 << 30,
    "seconds": 10,
}
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process decodes one file where there are no forks")


@pytest.fixture
def kept() -> Iterator[Decoders]:
    made = Decoders()
    yield made
    made.close()


def ask(kept: Decoders, data: bytes | None = None, **head: Any) -> dict[str, Any]:
    answer, body = kept.ask(HEAD | head, picture() if data is None else data, largest=10**6, stopped=threading.Event())
    assert "size" not in answer or answer["size"] == len(body)
    return answer


def processes(kept: Decoders) -> list[int]:
    return [each._process.pid for each in kept._idle]


@forks
async def test_a_process_is_kept_and_none_of_its_forks(kept: Decoders) -> None:
    assert (ask(kept)["width"], ask(kept)["height"]) == (60, 40)
    [first] = processes(kept)
    assert "refused" in ask(kept, b"\x89PNG\r\n\x1a\n")
    assert processes(kept) == [first]
    await eventually(lambda: not psutil.Process(first).children())


def test_several_threads_have_one_each_and_two_are_kept(kept: Decoders) -> None:
    with ThreadPoolExecutor(5) as threads:
        assert all(each["width"] == 60 for each in threads.map(lambda _: ask(kept), range(15)))
    assert 1 <= len(processes(kept)) <= 2


@forks
@pytest.mark.parametrize("gone", ["killed", "old"])
def test_a_process_that_is_gone_costs_no_file(kept: Decoders, gone: str) -> None:
    ask(kept)
    [first] = processes(kept)
    if gone == "killed":
        psutil.Process(first).kill()
    else:
        kept._idle[0]._used -= 1000
    assert ask(kept)["width"] == 60
    assert processes(kept) != [first]
    assert not psutil.pid_exists(first)


@forks
@pytest.mark.parametrize(
    ("head", "said"), [({"seconds": 0}, "time or memory|failed"), ({"memory": 1 << 20}, "memory|failed")], ids=str
)
def test_a_file_that_breaks_its_process_breaks_no_other(kept: Decoders, head: dict[str, int], said: str) -> None:
    ask(kept)
    refused = ask(kept, picture("PNG", (900, 900)), **head)["refused"]
    assert re.search(said, refused)
    assert ask(kept)["width"] == 60


@forks
def test_stopping_ends_the_fork_too(kept: Decoders) -> None:
    ask(kept)
    [first] = processes(kept)
    stopped = threading.Event()
    decoder = kept._idle[0]
    os.kill(first, signal.SIGSTOP)  # as a file that keeps it busy
    timer = threading.Timer(0.2, stopped.set)
    timer.start()
    with pytest.raises(InterruptedError):
        kept.ask(HEAD, picture(), largest=10**6, stopped=stopped)
    assert decoder._process.returncode is not None
    assert not psutil.pid_exists(first)
    assert ask(kept)["width"] == 60


def test_more_than_was_asked_for_is_not_read(kept: Decoders) -> None:
    answer, body = kept.ask(HEAD, picture(), largest=100, stopped=threading.Event())
    assert (answer, body) == ({"refused": "the decoder failed"}, b"")
    assert ask(kept)["width"] == 60


def test_closing_leaves_nothing(kept: Decoders) -> None:
    ask(kept)
    running = processes(kept)
    kept.close()
    assert running
    assert not any(psutil.pid_exists(each) for each in running)
    assert ask(kept)["width"] == 60


@forks
def test_a_fork_of_ours_leaves_the_parents_processes_alone() -> None:
    shared = decoders.shared_decoders()
    ask(shared)
    ours = processes(shared)
    if (child := os.fork()) == 0:
        os._exit(
            0 if decoders.shared_decoders() is not shared and ask(decoders.shared_decoders())["width"] == 60 else 1
        )
    began = time.monotonic()
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() - began < 30:
        time.sleep(0.01)
    assert done == (child, 0)
    assert ask(shared)["width"] == 60
    assert processes(shared) == ours
