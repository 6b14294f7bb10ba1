"""`parlant-local chat` in a real pseudo-terminal."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support import gguf_models
from tests.support.places import COMMAND, TINY

# With random weights and this much heat any token may come next: the model hardly ever says that it is done.
ENDLESS = ("--temperature", "5", "--top-k", "0", "--top-p", "1", "--max-tokens", "1900", "--seed", "1")


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., pexpect.spawn]]:
    running: list[pexpect.spawn] = []

    def begin(*arguments: str, model: Path = TINY, echo: bool = False) -> pexpect.spawn:
        environment = {**os.environ, "PARLANT_LOCAL_HOME": str(home), "TERM": "dumb", "NO_COLOR": "1"}
        command = ["chat", str(model), "--n-ctx", "2048", *arguments]
        child = pexpect.spawn(COMMAND, command, env=environment, encoding="utf-8", timeout=60, echo=echo)
        child.delaybeforesend = 0.05
        running.append(child)
        child.expect("/help lists commands")
        child.expect("> ")
        return child

    yield begin
    for child in running:
        child.close(force=True)


def test_a_conversation_with_commands(start: Callable[..., pexpect.spawn], tmp_path: Path, home: Path) -> None:
    child = start("--temperature", "0")
    child.sendline("What is the capital of France?")
    child.expect(r"\[\d+ tokens, [\d.]+ tokens/s, first token after [\d.]+ s; context \d+ of 2048\]")
    answer = child.before.strip().splitlines()[-1]
    assert len(answer) > 3
    child.expect("> ")
    child.sendline("/help")
    child.expect("/quit")
    child.sendline("/system You are terse.")
    child.expect("System message set")
    child.sendline("/system")
    child.expect("You are terse.")
    child.sendline("/model")
    child.expect("context of 2048 tokens")
    saved = tmp_path / "conversation.json"
    child.sendline(f"/save {saved}")
    child.expect("2 messages saved")
    child.sendline("/clear")
    child.expect("Conversation cleared")
    child.sendline(f"/load {saved}")
    child.expect("2 messages loaded")
    child.sendline("/stats")
    child.expect(r"This session: \d+ prompt tokens")
    child.sendline("/nonsense")
    child.expect("Unknown command /nonsense")
    child.sendline("/model no/such:model")
    child.expect("error: ")
    child.expect("> ")
    child.sendline("Hello")
    child.expect("tokens/s")
    child.sendline("/quit")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0
    messages = json.loads(saved.read_text("utf-8"))
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert messages[1]["content"] == "What is the capital of France?"
    history = home / "chat_history"
    assert "What is the capital of France?" in history.read_text("utf-8")
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_ctrl_c_stops_the_answer_and_keeps_the_session(start: Callable[..., pexpect.spawn], tmp_path: Path) -> None:
    child = start(*ENDLESS, model=gguf_models.llama(tmp_path / "random.gguf", vocabulary=8192))
    for said in ("Tell me a very long story.", "Go on."):
        child.sendline(said)
        child.expect(r"\w+\W+\w+")  # it has begun to speak
        child.sendintr()
        child.expect(r"\(stopped\)")
        child.expect("> ")
    saved = tmp_path / "conversation.json"
    child.sendline(f"/save {saved}")
    child.expect("4 messages saved")
    child.sendline("/quit")
    child.expect(pexpect.EOF)
    messages = json.loads(saved.read_text("utf-8"))
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[1]["content"]  # what was said before it was stopped


def test_ctrl_c_at_the_prompt_ends_nothing_and_ctrl_d_does(start: Callable[..., pexpect.spawn]) -> None:
    child = start(echo=True)
    child.send("half a line")
    child.expect("half a line")  # the terminal throws away what is not yet read when it interrupts
    child.sendintr()
    child.expect("Ctrl-D or /quit")
    child.expect("> ")
    child.sendline("/help")
    child.expect("/quit")
    child.expect("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0


def test_a_message_may_have_several_lines(start: Callable[..., pexpect.spawn], tmp_path: Path) -> None:
    child = start("--max-tokens", "2", "--input-prefix", "Q: ")
    child.sendline("one\\")
    child.expect("… ")
    child.sendline("two")
    child.expect("tokens/s")
    child.expect("> ")
    child.sendline('"""')
    child.expect("… ")
    child.sendline("three")
    child.expect("… ")
    child.sendline('four"""')
    child.expect("tokens/s")
    child.expect("> ")
    saved = tmp_path / "conversation.json"
    child.sendline(f"/save {saved}")
    child.expect("saved")
    said = [m["content"] for m in json.loads(saved.read_text("utf-8")) if m["role"] == "user"]
    assert said == ["Q: one\ntwo", "Q: three\nfour"]


def test_a_reverse_prompt_gives_the_turn_back(start: Callable[..., pexpect.spawn], tmp_path: Path) -> None:
    child = start("--temperature", "0", "--reverse-prompt", " ")
    child.sendline("What is the capital of France?")
    child.expect("tokens/s")
    child.expect("> ")
    saved = tmp_path / "conversation.json"
    child.sendline(f"/save {saved}")
    child.expect("saved")
    answer = json.loads(saved.read_text("utf-8"))[-1]["content"]
    assert answer
    assert " " not in answer


def test_a_conversation_that_outgrows_the_context_says_how_to_go_on(start: Callable[..., pexpect.spawn]) -> None:
    child = start("--max-tokens", "8")
    child.sendline('"""')
    for _ in range(60):
        child.sendline("many words " * 20)
    child.sendline('"""')
    child.expect("error: The prompt has .*/clear")
    child.sendline("Hello")
    child.expect("tokens/s")
