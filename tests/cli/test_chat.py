"""`parlant-local chat` in a real pseudo-terminal, read from its screen."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import gguf_models
from tests.support.at_home import Verb
from tests.support.places import COMMAND, TINY
from tests.support.terminal import ALT_ENTER, CTRL_C, CTRL_D, DOWN, ENTER, TAB, UP, Terminal

# With random weights and this much heat any token may come next: the model hardly ever says that it is done.
ENDLESS = ("--temperature", "5", "--top-k", "0", "--top-p", "1", "--max-tokens", "1900", "--seed", "1")
SPEED = r"\[\d+ tokens, [\d.]+ tokens/s, first token after [\d.]+ s; context \d+ of 2048\]"

Start = Callable[..., Terminal]


def begun(home: Path, *arguments: str, model: Path = TINY, **environment: str) -> Terminal:
    terminal = Terminal(
        "chat", str(model), "--n-ctx", "2048", *arguments, environment={"PARLANT_LOCAL_HOME": str(home), **environment}
    )
    terminal.expect(r"/help lists commands.*\n> $")
    return terminal


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    running: list[Terminal] = []

    def begin(*arguments: str, **more: Any) -> Terminal:
        running.append(begun(home, *arguments, **more))
        return running[-1]

    yield begin
    for terminal in running:
        terminal.close()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """One session for many tests."""
    folder = tmp_path_factory.mktemp("session")
    editor = folder / "editor"
    editor.write_text('#!/bin/sh\necho "What is the capital of Italy?" > "$1"\n', "utf-8")
    editor.chmod(0o755)
    terminal = begun(folder / "home", "--temperature", "0", EDITOR=str(editor))
    yield terminal
    terminal.close()


@pytest.fixture
def chat(session: Terminal) -> Terminal:
    """With nothing said and nothing set."""
    session.say("/clear")
    session.expect("Conversation cleared")
    session.prompt()
    return session


def test_commands_change_the_conversation(chat: Terminal, tmp_path: Path) -> None:
    chat.say("What is the capital of France?")
    assert "Paris" in chat.expect(SPEED + r"\n> $")

    chat.say("/help")
    listed = chat.prompt()
    for command in ("/regenerate", "/edit", "/set [OPTION [VALUE]]", "/save FILE [--force]", "/bye"):
        assert command in listed

    chat.say("/regenerate")
    assert "Paris" in chat.expect(SPEED + r"\n> $")

    chat.say("/system You are terse.")
    chat.expect("System message set")
    chat.say("/system")
    chat.expect("\nYou are terse.")
    chat.say("/model")
    chat.expect("context of 2048 tokens")

    saved = tmp_path / "a conversation.json"
    chat.say(f"/save {saved}")
    chat.expect("2 messages saved")
    first = saved.read_bytes()
    chat.say("/clear")
    chat.expect("Conversation cleared")
    chat.say(f"/save {saved}")
    chat.expect(r"Overwrite\s+it")
    chat.say("n")
    chat.expect(r"was not\s+overwritten.*--force")
    assert saved.read_bytes() == first
    chat.say(f"/load {saved}")
    chat.expect("2 messages loaded")
    chat.say(f"/save {saved} --force")
    chat.expect("2 messages saved")
    chat.say("/stats")
    chat.expect(r"This session: \d+ prompt tokens")
    chat.say("/regenrate")
    chat.expect("Unknown command /regenrate. Did you mean /regenerate")
    chat.say("/model no/such:model")
    chat.expect("error: ")
    chat.say("Hello")
    chat.expect(SPEED)
    messages = json.loads(saved.read_text("utf-8"))
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert messages[1]["content"] == "What is the capital of France?"


def test_sampling_is_set_and_checked(chat: Terminal) -> None:
    chat.say("/set temperature 9")
    chat.expect("error: temperature must be between 0 and 5, not 9")
    chat.say("/set temperature warm")
    chat.expect("error: temperature must be a number")
    chat.say("/set temp 1")
    chat.expect("Did you mean temperature")
    chat.say("/set temperature 0")
    chat.expect(r"temperature +0\.0")
    chat.say("/set max-tokens 2")
    chat.expect(r"max_tokens +2")
    chat.say("What is the capital of France?")
    assert "[2 tokens" in chat.expect(r"truncated by max_tokens.*tokens/s")
    chat.say("/unset max_tokens")
    chat.expect(r"max_tokens +default")
    chat.say("What is the capital of France?")
    assert "Paris" in chat.expect(SPEED)


def test_tab_completes_commands_options_values_models_and_files(chat: Terminal, tmp_path: Path) -> None:
    (tmp_path / "holidays.json").write_text("[]", "utf-8")
    for typed, whole in (
        ("/reg", "> /regenerate"),
        ("/set repe", "> /set repeat_"),
        ("/set reasoning of", "> /set reasoning off"),
        ("/model local/", "> /model local/llama/parlant-local-tiny"),
        (f"/load {tmp_path}/holi", r"> /load .*holidays\.json"),
    ):
        chat.press(typed + TAB)
        chat.expect(whole)
        chat.press(CTRL_C)
        chat.expect(r"ends the session.*> $")
        chat.say("/stats")  # two in a row would end it
        chat.prompt()


def test_the_last_question_is_edited(chat: Terminal, tmp_path: Path) -> None:
    chat.say("/edit")
    chat.expect("Nothing has been asked yet")
    chat.say("What is the capital of France?")
    chat.expect(SPEED)
    chat.say("/edit")
    assert "Rome" in chat.expect(SPEED)
    saved = tmp_path / "conversation.json"
    chat.say(f"/save {saved}")
    chat.expect("saved")
    said = [m["content"] for m in json.loads(saved.read_text("utf-8")) if m["role"] == "user"]
    assert said == ["What is the capital of Italy?"]


def test_a_message_may_have_several_lines(chat: Terminal, tmp_path: Path) -> None:
    chat.say("one\\")
    chat.expect("\n… $")
    chat.say("two")
    chat.expect("tokens/s")
    chat.prompt()
    for line in ('"""', "three", 'four"""'):
        chat.say(line)
    chat.expect("tokens/s")
    chat.press("\x1b[200~five\nsix\x1b[201~" + ENTER)  # as a terminal pastes
    chat.expect("tokens/s")
    saved = tmp_path / "conversation.json"
    chat.say(f"/save {saved}")
    chat.expect("saved")
    said = [m["content"] for m in json.loads(saved.read_text("utf-8")) if m["role"] == "user"]
    assert said == ["one\ntwo", "three\nfour", "five\nsix"]


def test_a_conversation_that_outgrows_the_context_says_how_to_go_on(chat: Terminal) -> None:
    chat.press("\x1b[200~" + "\n".join("many words " * 20 for _ in range(60)) + "\x1b[201~" + ENTER)
    chat.expect("error: The prompt has .*/clear")
    chat.say("Hello")
    chat.expect("tokens/s")


def test_whole_messages_are_recalled_in_this_and_the_next_session(start: Start, home: Path) -> None:
    first = start("--max-tokens", "2")
    first.press("one" + ALT_ENTER + "two" + ENTER)
    first.expect("> one\n… two.*tokens/s")
    first.prompt()
    first.press(UP)
    first.expect("> one\n… two$")
    first.press(CTRL_C + CTRL_C)
    assert first.ended() == 0
    history = home / "chat_history"
    assert history.read_text("utf-8") == '"one\\ntwo"\n'
    assert stat.S_IMODE(history.stat().st_mode) == 0o600

    second = start("--max-tokens", "2")
    second.press(UP)
    second.expect("> one\n… two$")
    second.press(CTRL_C)
    second.expect(r"Ctrl-C again.*> $")
    second.say("/stats")
    second.prompt()
    second.press(CTRL_D)
    assert second.ended() == 0


def test_ctrl_c_stops_the_answer_and_twice_ends_the_session(start: Start, tmp_path: Path) -> None:
    slow = gguf_models.llama(tmp_path / "random.gguf", vocabulary=8192, layers=12, width=256, feed_forward=1024)
    chat = start(*ENDLESS, model=slow)
    for said in ("Tell me a very long story.", "Go on."):
        chat.say(said)
        chat.expect(r"\n.*\w+\W+\w+")  # it has begun to speak
        chat.press(CTRL_C)
        chat.expect(r"\(stopped\)\n> $")
    saved = tmp_path / "conversation.json"
    chat.say(f"/save {saved}")
    chat.expect(r"4 messages saved.*\n> $")
    chat.say("/clear")
    chat.expect(
        r"Conversation cleared.*\n> $"
    )  # what is typed before the prompt is shown twice: it would pass for an answer
    chat.say("Once more.")
    chat.expect(r"\n.*\w+\W+\w+")
    chat.press(CTRL_C)
    chat.expect(r"\(stopped\)\n> $")
    chat.press(CTRL_C)
    assert chat.ended() == 0
    messages = json.loads(saved.read_text("utf-8"))
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant"]
    assert messages[1]["content"]  # what was said before it was stopped


def test_what_is_typed_during_an_answer_waits_for_the_prompt(start: Start, tmp_path: Path) -> None:
    model = gguf_models.llama(tmp_path / "random.gguf", vocabulary=8192)
    chat = start(*ENDLESS[:-4], "--max-tokens", "400", "--seed", "1", model=model)
    chat.say("Tell me a story.")
    chat.expect(r"\n.*\w+\W+\w+")
    chat.press("zzqqzz")
    chat.expect(r"> zzqqzz$")
    assert chat.text.count("zzqqzz") == 1, "it is not mixed into the answer"
    chat.press(CTRL_C)
    chat.expect("Ctrl-C again")
    saved = tmp_path / "x.json"
    saved.write_text("[]", "utf-8")
    chat.say(f"/save {saved}")
    chat.expect("Overwrite")
    chat.say("n")
    chat.expect(r"\[y/N\]: n\n")  # an answer to a question is seen


def test_a_dumb_terminal_gets_no_codes(start: Start, tmp_path: Path) -> None:
    options = ("--temperature", "0", "--reverse-prompt", " ", "--input-prefix", "Q: ", "--no-history")
    chat = start(*options, NO_COLOR="1", TERM="dumb")
    chat.say("What is the capital of France?")
    chat.expect("tokens/s")
    assert "\x1b" not in chat.output
    saved = tmp_path / "conversation.json"
    chat.say(f"/save {saved}")
    chat.expect("saved")
    question, answer = json.loads(saved.read_text("utf-8"))
    assert question["content"] == "Q: What is the capital of France?"
    assert answer["content"]
    assert " " not in answer["content"]  # where the model stops, and it is our turn


def test_several_models_are_a_choice(home: Path, tmp_path: Path, verb: Verb) -> None:
    for name in ("apple", "banana"):
        path = gguf_models.llama(tmp_path / f"{name}.gguf", vocabulary=1024)
        assert verb("add", str(path), "--name", name)[0] == 0
    environment = {"PARLANT_LOCAL_HOME": str(home)}
    terminal = Terminal("chat", "--n-ctx", "256", environment=environment)
    terminal.expect("Which model.*apple.*banana")
    terminal.press(DOWN + UP + "2" + ENTER)
    terminal.expect("local/.*banana, context of 256 tokens")
    terminal.close()
    terminal = Terminal("chat", "aple", environment=environment)
    terminal.expect("There is no 'aple'.*apple")
    terminal.press(CTRL_C)
    assert terminal.ended() == 130


def test_a_file_gets_no_codes_and_no_prompt(home: Path) -> None:
    done = subprocess.run(
        [COMMAND, "chat", str(TINY), "--n-ctx", "1024", "--temperature", "0"],
        input="What is the capital of France?\n/set\n/save\n",
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PARLANT_LOCAL_HOME": str(home)},
    )
    assert done.returncode == 0
    assert "Paris" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "> " not in done.stdout
    assert "/save needs a file name" in done.stderr
    assert not (home / "chat_history").exists()
