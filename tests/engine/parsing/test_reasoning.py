"""Thoughts are told from the answer by where the prompt ended, in any pieces."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.engine.parsing import (
    CALL_FORMATS,
    CallParser,
    CallSyntax,
    OutputParser,
    PlainContent,
    ThoughtSplitter,
    collect,
    opens_answer,
    opens_thoughts,
)
from parlant_local.engine.parsing.formats import CallFormat
from parlant_local.engine.parsing.reading import SyntaxReader
from parlant_local.engine.parsing.syntax import ARGUMENTS, NAME, JsonCalls
from parlant_local.engine.parsing.writing import write_calls
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
def test_thoughts_and_answer_are_separated_at_every_split(
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


def test_some_families_call_between_their_thoughts() -> None:
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


APERTUS = next(profile for profile in PROFILES if profile.name == "apertus")
CALL = '<|tools_prefix|>[{"ping": {}}]<|tools_suffix|>'


@pytest.mark.parametrize(
    ("text", "thoughts", "reasoning", "calls", "content"),
    [
        (f"<|inner_prefix|>Hm.{CALL}", "", "Hm.", 1, ""),
        (f"<|inner_prefix|>Hm.{CALL}It worked.<|inner_suffix|>Done.", "", "Hm.It worked.", 1, "Done."),
        (f"<|inner_prefix|>Hm.<|inner_suffix|>{CALL}", "", "Hm.", 1, ""),
        (f"<|inner_prefix|>Hm.<|inner_suffix|>{CALL}Done.", "", "Hm.", 1, "Done."),
        ("<|inner_suffix|>Done.", "", "", 0, "Done."),
        ("So.<|inner_suffix|>Done.", "", "", 0, "So.Done."),
        ("So. <|inner_prefix|> Hm. <|inner_suffix|>Done.", "", "Hm.", 0, "So. Done."),
        (f"So.<|inner_prefix|>Hm.{CALL}", "", "Hm.", 1, "So."),
        ("1 <|in 2", "", "", 0, "1 <|in 2"),
        # Told apart by the engine, which ends them at a call, too.
        (CALL, "Hm.", "Hm.", 1, ""),
        (f"{CALL}It worked.<|inner_suffix|>Done.", "Hm.", "Hm.It worked.", 1, "Done."),
        ("Done.", "Hm.", "Hm.", 0, "Done."),
    ],
)
def test_marks_of_thoughts_anywhere_in_a_turn_are_no_text(
    text: str, thoughts: str, reasoning: str, calls: int, content: str
) -> None:
    syntax = CallSyntax(
        "<|tools_prefix|>[", ", ", "]<|tools_suffix|>", JsonCalls(f'{{"{NAME}": "{ARGUMENTS}"}}', listed=True)
    )
    form = CallFormat("json", {syntax.opener: SyntaxReader(syntax, {"ping": {}})}, partial(write_calls, syntax), {})
    for step in (len(text), 1, 5):
        parser = OutputParser(APERTUS, CallParser(form, ["ping"]), thoughts_apart=bool(thoughts))
        deltas = parser.feed("", thoughts)
        for at in range(0, len(text), step):
            deltas += parser.feed(text[at : at + step])
        found = collect(deltas + parser.finish())
        assert (found.reasoning, len(found.tool_calls), found.content) == (reasoning, calls, content), step


def test_an_answer_that_the_prompt_has_begun_loses_its_end() -> None:
    kimi = next(profile for profile in PROFILES if profile.effort_argument == "thinking_effort")
    assert kimi.answer_tags is not None
    prompt = f"…{kimi.answer_tags.start}"
    assert opens_answer(prompt, kimi)
    assert not opens_answer("…<|open|>think<|sep|>", kimi)
    for text in ("Paris.<|close|>response<|sep|>", "Paris."):
        for pieces in ([text], list(text)):
            parser = OutputParser(kimi, PlainContent(), answering=True)
            found = collect([delta for piece in pieces for delta in parser.feed(piece)] + parser.finish())
            assert (found.reasoning, found.content) == ("", "Paris.")


def test_thoughts_separated_by_the_engine_are_stripped() -> None:
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
