"""Ctrl-C in a terminal: the first one ends the work in order, the second the process, whatever it does."""

from __future__ import annotations

import sys

import pytest

from tests.support.terminal import CTRL_C, Terminal

HANGS = """
import asyncio
from parlant_local.agent.interruption import until_interrupted

async def work():
    try:
        print("ready", flush=True)
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(3600)

asyncio.run(until_interrupted(work(), stopping=lambda: print("stopping", flush=True)))
"""
SERVES = """
import asyncio, sys, uvicorn
from parlant_local.agent.interruption import until_interrupted

async def app(scope, receive, send):
    pass

async def work():
    servings = []
    for _ in range(2):
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
        servings.append(asyncio.ensure_future(server.serve()))
        while not server.started:
            await asyncio.sleep(0.01)
    print("ready", flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.gather(*servings)  # they handle the signal themselves, and raise it again when they are done
        print("cleaned up", flush=True)
        await asyncio.sleep(float(sys.argv[1]))

print("interrupted:", asyncio.run(until_interrupted(work())), flush=True)
"""


def test_the_second_one_ends_it_though_a_server_has_put_other_handlers_back() -> None:
    replaced = SERVES.replace(
        'print("cleaned up", flush=True)',
        'import signal; signal.signal(signal.SIGINT, lambda *_: None); print("cleaned up", flush=True)',
    )
    terminal = Terminal("-c", replaced, "3600", command=sys.executable)
    terminal.expect("ready")
    terminal.press(CTRL_C)
    terminal.expect("cleaned up")
    terminal.press(CTRL_C)
    assert terminal.ended() == 130


def test_the_second_one_ends_a_shutdown_that_hangs() -> None:
    terminal = Terminal("-c", HANGS, command=sys.executable)
    terminal.expect("ready")
    terminal.press(CTRL_C)
    terminal.expect("stopping")
    terminal.press(CTRL_C)
    assert terminal.ended() == 130


@pytest.mark.parametrize("seconds", [0, 3600])
def test_what_web_servers_raise_again_is_no_second_one(seconds: int) -> None:
    terminal = Terminal("-c", SERVES, str(seconds), command=sys.executable)
    terminal.expect("ready")
    terminal.press(CTRL_C)
    terminal.expect("cleaned up")
    if seconds:
        terminal.press(CTRL_C)
        assert terminal.ended() == 130
    else:
        terminal.expect("interrupted: True")
        assert terminal.ended() == 0
