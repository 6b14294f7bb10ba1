"""Thoughts are told from the answer by where the prompt ended, in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.engine.parsing import (
    CALL_FORMATS,
    CallParser,
    OutputParser,
    PlainContent,
    ThoughtSplitter,
    collect,
    opens_thoughts,
)
from parlant_local.profiles import PROFILES, ReasoningTags

THINK = ReasoningTags("<think>", "</think>")
QWEN = next(profile for profile in PROFILES if profile.name == "qwen" and profile.reasoning)
GRANITE = next(profile for profile in PROFILES if profile.name == "granite" and profile.answer_tags)

# (whether the prompt opened the thoughts, what the model wrote, thoughts, answer)
WRITTEN = [
    (False, "<think>\nHm.\n</think>\n\nParis.", "Hm.", "Paris."),
    (False, "\n<think>Hm. <b> </think>Paris.", "Hm. <b>", "Paris."),
    (False, "Paris.", "", "Paris."),
    (False, "Paris is <think>ing</think>.", "", "Paris is <think>ing</think>."),
    (False, "<think></think>\n\nParis.", "", "Paris."),
    (False, "<thinking> is a tag", "", "<thinking> is a tag"),
    (True, "Hm.\n\nWell.\n</think>\n\nParis.", "Hm.\n\nWell.", "Paris."),
    (True, "\n</think>\n\nParis.", "", "Paris."),
    (True, "Hm, no end", "Hm, no end", ""),
    (True, "Hm </thi", "Hm </thi", ""),
    (False, "<think>a</think><think>b</think>Paris.", "ab", "Paris."),
    (False, "  leading spaces stay", "", "  leading spaces stay"),
    (False, "", "", ""),
]


def split(opened: bool, pieces: list[str]) -> tuple[str, str]:
    splitter = ThoughtSplitter(THINK, opened=opened)
    found = collect([delta for piece in pieces for delta in splitter.feed(piece)] + splitter.finish())
    return found.reasoning, found.content


@pytest.mark.parametrize(("opened", "text", "reasoning", "content"), WRITTEN)
def test_thoughts_and_answer_are_told_apart_at_every_split(
    opened: bool, text: str, reasoning: str, content: str
) -> None:
    assert split(opened, [text]) == (reasoning, content)
    for at in range(len(text)):
        assert split(opened, [text[:at], text[at:]]) == (reasoning, content)
    assert split(opened, list(text)) == (reasoning, content)


@given(
    opened=st.booleans(),
    parts=st.lists(
        st.sampled_from(["<think>", "</think>", "<", "think", ">", "/", " ", "\n", "word", "é"]), max_size=12
    ),
    size=st.integers(1, 5),
)
@settings(max_examples=300, deadline=None)
def test_any_mixture_of_tags_splits_the_same_in_any_pieces(opened: bool, parts: list[str], size: int) -> None:
    text = "".join(parts)
    assert split(opened, [text[at : at + size] for at in range(0, len(text), size)]) == split(opened, [text])


@pytest.mark.parametrize(
    ("tail", "opened"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<｜Assistant｜><think>", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("<|im_start|>assistant\n", False),
        ("<|im_start|>user\nwhat does <think> do?<|im_end|>\n<|im_start|>assistant\n", False),
    ],
)
def test_the_prompts_tail_says_whether_thoughts_are_open(tail: str, opened: bool) -> None:
    assert opens_thoughts("…" + tail, THINK) is opened


def test_a_call_after_thoughts_is_a_call_and_one_inside_them_is_a_thought() -> None:
    text = '<think>maybe <tool_call>{"name": "f", "arguments": {}}</tool_call></think>\n<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
    for pieces in ([text], list(text)):
        parser = OutputParser(QWEN, CallParser(CALL_FORMATS["hermes"], ["f"]))
        found = collect([delta for piece in pieces for delta in parser.feed(piece)] + parser.finish())
        assert [call.arguments for call in found.tool_calls] == ['{"a": 1}']
        assert found.reasoning.startswith("maybe <tool_call>")
        assert found.content == ""


def test_some_families_call_amid_their_thoughts() -> None:
    apertus = next(profile for profile in PROFILES if profile.name == "apertus")
    call = '<|tools_prefix|>[{"ping": {}}]<|tools_suffix|>'
    for text, content in (
        ("<|inner_prefix|>Hm.<|inner_suffix|>Paris.", "Paris."),
        (f"<|inner_prefix|>Hm.{call}", call),
        (f"<|inner_prefix|>Hm.<|inner_suffix|>{call}", call),
        ("Paris.", "Paris."),
    ):
        for step in (1, 4, len(text)):
            assert apertus.reasoning is not None
            splitter = ThoughtSplitter(apertus.reasoning, opened=False)
            pieces = [text[at : at + step] for at in range(0, len(text), step)]
            found = collect([delta for piece in pieces for delta in splitter.feed(piece)] + splitter.finish())
            assert (found.reasoning, found.content) == ("" if text == "Paris." else "Hm.", content)


def test_thoughts_that_the_engine_told_apart_lose_their_outer_white_space() -> None:
    parser = OutputParser(QWEN, PlainContent(), thoughts_apart=True)
    deltas = parser.feed("", "\nHm. ") + parser.feed("", " Well.\n") + parser.feed("\n\n") + parser.feed(" Paris.\n")
    found = collect(deltas + parser.finish())
    assert (found.reasoning, found.content) == ("Hm.  Well.", "Paris.\n")


def test_tags_around_the_answer_are_taken_away() -> None:
    text = "<think>Hm.</think><response>Paris.</response>"
    for pieces in ([text], list(text)):
        parser = OutputParser(GRANITE, PlainContent())
        found = collect([delta for piece in pieces for delta in parser.feed(piece)] + parser.finish())
        assert (found.reasoning, found.content) == ("Hm.", "Paris.")


def test_an_answer_that_never_left_its_thoughts_is_reported() -> None:
    parser = OutputParser(QWEN, PlainContent())
    parser.feed("<think>Hm, Paris")
    parser.finish()
    assert "within its thoughts" in parser.warnings[0]
