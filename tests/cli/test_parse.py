"""`parse`, the mirror of `render`: the command, and the library's method."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parlant_local.backends.llama_cpp import LlamaCppBackend
from tests.support.at_home import Verb
from tests.support.places import CALL_TEMPLATES, SHARED, TINY

PING = [
    {
        "type": "function",
        "function": {"name": "ping", "parameters": {"type": "object", "properties": {"n": {"type": "string"}}}},
    }
]
TEXT = 'One moment.\n<tool_call>\n{"name": "ping", "arguments": {"n": "007"}}\n</tool_call><|im_end|>\n'
PARSED = {"content": "One moment.", "reasoning": "", "tool_calls": [{"name": "ping", "arguments": {"n": "007"}}]}


def test_the_verb_prints_the_parsed_text(verb: Verb, written: Callable[[str, Any], str]) -> None:
    file, tools = written("answer.txt", TEXT), written("tools.json", PING)
    for options in ((), ("--tools", tools), ("--stream", "1"), ("--stream", "5", "--tools", tools)):
        code, out, _ = verb("parse", str(TINY), "--file", file, "--json", *options)
        assert code == 0
        assert json.loads(out) == PARSED
    _, plain, _ = verb("parse", str(TINY), "--file", file)
    assert plain == 'call: ping {"n": "007"}\nOne moment.\n'


def test_another_template_may_be_given(verb: Verb, written: Callable[[str, Any], str]) -> None:
    template = CALL_TEMPLATES / "tags.jinja"
    text = "<ponder>\nHm.\n</ponder>\n\n<usetool>\n<fn=ping>\n<par=n>\n007\n</par>\n</fn>\n</usetool>"
    file, tools = written("answer.txt", text), written("tools.json", PING)
    options = ("--file", file, "--tools", tools, "--json", "--chat-format", str(template))
    _, out, _ = verb("parse", str(TINY), *options)
    assert json.loads(out) == {"content": "", "reasoning": "Hm.", "tool_calls": PARSED["tool_calls"]}


def test_what_could_not_be_parsed_is_reported(verb: Verb, written: Callable[[str, Any], str]) -> None:
    file = written("answer.txt", "<tool_call>\nping please\n</tool_call>")
    _, out, err = verb("parse", str(TINY), "--file", file, "--json")
    assert json.loads(out)["tool_calls"] == []
    assert "could not be parsed" in err
    assert verb("parse", str(TINY), "--file", "missing.txt")[0] == 2
    assert verb("parse", str(TINY), "--file", file, "--stream", "0")[0] == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is absent")
def test_a_vocabulary_alone_will_do(verb: Verb, written: Callable[[str, Any], str]) -> None:
    _, out, _ = verb(
        "parse", str(SHARED / "vocab" / "ggml-vocab-qwen2.gguf"), "--file", written("a.txt", TEXT), "--json"
    )
    assert json.loads(out) == PARSED


async def test_the_library_has_the_same(tiny: LlamaCppBackend) -> None:
    for step in (None, 1, 3):
        parsed = await tiny.parse(TEXT, tools=PING, step=step)
        assert parsed.to_json() == PARSED
    assert (await tiny.parse("Hello")).content == "Hello"


def test_the_blocking_interface_has_it_too() -> None:
    with LlamaCppBackend(TINY, n_ctx=512).sync as backend:
        assert backend.parse(TEXT).to_json() == PARSED
