"""Texts of clients and models are read in time that grows with their length: what grows with its square takes hours here."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from parlant_local.backends.failures import from_status
from parlant_local.engine.parsing.bound import BoundCalls
from parlant_local.engine.parsing.calls import CallParser
from parlant_local.engine.parsing.formats import CALL_FORMATS
from parlant_local.engine.parsing.json_text import ValueEnd, decode_lenient, value_end
from parlant_local.engine.templates.control import ControlTexts
from parlant_local.messages import Message
from parlant_local.observability import printable, redact

LONG = 400_000


def answer(form: str, text: str, piece: int = 4000) -> Callable[[], object]:
    def read() -> None:
        parser = CallParser(CALL_FORMATS[form], ["f"])
        for at in range(0, len(text), piece):
            parser.feed(text[at : at + piece])
        parser.finish()

    return read


def bound() -> None:
    parser = BoundCalls()
    parser.feed('{"name": "f", "arguments": {"a": [')
    for _ in range(LONG // 8):
        parser.feed('{"x":1}, ')
    parser.finish()


def commas() -> None:
    with pytest.raises(ValueError):
        decode_lenient("[" + ", " * 49_000)


def control(text: str) -> Callable[[], object]:
    marks = ControlTexts(f"<|reserved_special_token_{number}|>" for number in range(4000))
    return lambda: marks.mark([Message.user(text)])


TEXTS = {
    "bound calls": bound,
    "open parameters": answer("hermes", "<function=f>" + "<parameter=a>" * (LONG // 13) + "</function>", LONG * 2),
    "a call without end": answer("mistral", "[TOOL_CALLS]f[CALL_ID]" + " " * LONG + "x", LONG * 2),
    "a name without end": answer("mistral", "[TOOL_CALLS]" + "f" * LONG, LONG * 2),
    "open braces": answer("hermes", "<tool_call>" + "{" * LONG),
    "quotes and spaces": answer("json", "{" + "' " * (LONG // 2)),
    "DeepSeek's marks": answer("deepseek", "<｜tool▁calls▁begin｜>" + "<｜tool▁call▁begin｜>" * (LONG // 20)),
    "control tokens": control("<|reserved_special_token_" * (LONG // 25)),
    "secrets": lambda: redact("://a:" * (LONG // 5) + "bearer" + " " * LONG + "sk-" * 1000),
    "codes": lambda: printable("\x1b" * LONG),
    "commas": commas,
    "an endpoint's error": lambda: from_status("x", 400, "'\"`" * (LONG // 3) + " context length " + "1" * 5000),
}


@pytest.mark.timeout(60)  # far beyond what it takes, far below its square
@pytest.mark.parametrize("kind", TEXTS)
def test_it_is_read_in_the_time_of_its_length(kind: str) -> None:
    TEXTS[kind]()


def test_a_value_ends_where_it_does_in_whatever_pieces_it_comes() -> None:
    dice = random.Random(7)
    for _ in range(3000):
        text = "".join(dice.choices("{}[]\"'\\,: a", k=dice.randint(1, 24)))
        whole = value_end(text, 0)
        scanner, end, at = ValueEnd(), None, 0
        while at < len(text) and end is None:
            size = dice.randint(1, 5)
            found = scanner.feed(text[at : at + size])
            end = None if found is None else at + found
            at += size
        assert end == whole, text


def test_control_tokens_are_found_as_by_trying_each() -> None:
    dice = random.Random(7)
    for _ in range(500):
        texts = {"".join(dice.choices("<ab.|", k=dice.randint(1, 5))) for _ in range(dice.randint(1, 12))}
        each = re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))
        marks = ControlTexts(texts)
        for _ in range(10):
            text = "".join(dice.choices("<ab.|", k=20))
            (marked,) = marks.mark([Message.user(text)])
            assert marked.content == each.sub("\U000f0000\\g<0>\U000f0001", text)
