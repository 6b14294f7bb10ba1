"""Tool calls as real models write them, read the same streamed or whole; and everything that is not one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.engine.parsing import CALL_FORMATS, BoundCalls, CallParser, collect
from parlant_local.profiles import ToolFormat

TOOLS = ("get_weather", "add", "python")
PARIS = ("get_weather", {"city": "Paris"})
ADD = ("add", {"a": 1, "b": [2, 3]})

# (format, what the model wrote, content, calls)
REAL: list[tuple[ToolFormat, str, str, list[tuple[str, Any]]]] = [
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', "", [PARIS]),
    ("hermes", 'I\'ll look.\n\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', "I'll look.", [PARIS]),
    ("hermes", '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>\n<tool_call>{"arguments": {"a": 1, "b": [2, 3]}, "name": "add"}</tool_call>', "", [PARIS, ADD]),
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}\n</tool_call>', "", [PARIS]),
    ("hermes", "<tool_call>\n{'name': 'get_weather', 'arguments': {'city': 'Paris'}}\n</tool_call>", "", [PARIS]),
    ("hermes", '<tool_call>\n[{"name": "get_weather", "arguments": {"city": "Paris"}}]\n</tool_call>', "", [PARIS]),
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}', "", [PARIS]),
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris",}}\n</tool_call>', "", [PARIS]),
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": "a\nb </tool_call>"}}\n</tool_call>', "", [("get_weather", {"city": "a\nb </tool_call>"})]),
    ("hermes", '{"name": "get_weather", "arguments": {"city": "Paris"}}', "", [PARIS]),
    ("hermes", "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", "", [PARIS]),
    ("llama", '{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ("llama", '{"type": "function", "name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ("llama", '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}', "", [PARIS]),
    ("llama", '{"name": "get_weather", "parameters": {"city": "Paris"}}; {"name": "add", "parameters": {"a": 1, "b": [2, 3]}}', "", [PARIS, ADD]),
    ("llama", '<|python_tag|>get_weather.call(city="Paris")', "", [PARIS]),
    ("llama", "<|python_tag|>print(1 + 1)", "", [("python", {"code": "print(1 + 1)"})]),
    ("llama", '<function=get_weather>{"city": "Paris"}</function>', "", [PARIS]),
    ("llama", 'Use this: <function=get_weather>{"city": "Paris"}</function>', "Use this:", [PARIS]),
    ("deepseek", '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>', "", [PARIS]),
    ("deepseek", '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{"a": 1, "b": [2, 3]}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>', "", [PARIS, ADD]),
    ("deepseek", 'Let me see.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>', "Let me see.", [PARIS]),
    ("deepseek", '<｜tool_calls_begin｜><｜tool_call_begin｜>get_weather<｜tool_sep｜>{"city": "Paris"}<｜tool_call_end｜>', "", [PARIS]),
    ("mistral", '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}, "id": "abcdefghi"}]', "", [PARIS]),
    ("mistral", '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "add", "arguments": {"a": 1, "b": [2, 3]}}]', "", [PARIS, ADD]),
    ("mistral", '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', "", [PARIS]),
    ("mistral", '[TOOL_CALLS]get_weather[CALL_ID]123456789[ARGS]{"city": "Paris"}[TOOL_CALLS]add[ARGS]{"a": 1, "b": [2, 3]}', "", [PARIS, ADD]),
    ("mistral", '[TOOL_CALLS]get_weather{"city": "Paris"}', "", [PARIS]),
    ("granite", '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]', "", [PARIS]),
    ("granite", '<tool_call>[{"name": "get_weather", "arguments": {"city": "Paris"}}]', "", [PARIS]),
    ("harmony", '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>', "", [PARIS]),
    ("harmony", '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Paris"}<|call|>', "", [PARIS]),
    ("harmony", '<|channel|>commentary<|message|>I\'ll look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather<|message|>{"city": "Paris"}', "I'll look.", [PARIS]),
    ("phi", '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]<|/tool_call|>', "", [PARIS]),
    ("lfm", '<|tool_call_start|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]<|tool_call_end|>', "", [PARIS]),
    ("json", '{"name": "get_weather", "arguments": {"city": "Paris"}}', "", [PARIS]),
    ("json", '```json\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n```', "", [PARIS]),
    ("json", '{"tool_call": {"name": "get_weather", "arguments": {"city": "Paris"}}}', "", [PARIS]),
    ("json", '{"tool_calls": [{"function": {"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}}]}', "", [PARIS]),
    ("json", '[{"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "add", "arguments": {"a": 1, "b": [2, 3]}}]', "", [PARIS, ADD]),
]  # fmt: skip

# Text that is no call: (format, text, whether a warning is due). The content is the text itself.
NOT_CALLS: list[tuple[ToolFormat, str, bool]] = [
    ("hermes", "It is sunny in Paris.", False),
    ("hermes", "if a < b: print('<tool') <tool_ca", False),
    ("hermes", "<tool_call>\nget_weather(Paris)\n</tool_call>", True),
    ("hermes", '<tool_call>\n{"city": "Paris"}\n</tool_call>', True),
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": {"city": \n</tool_call>', True),
    ("hermes", '<tool_call>\n{"name": "get_weather", "arguments": [1]}\n</tool_call>', True),
    ("llama", '{"answer": 42}', False),
    ("llama", "[1] The first source says so.", False),
    ("llama", '<|python_tag|>get_weather.call(city=open("x"))', True),
    ("llama", "```python\nprint('hello')\n```", False),
    ("deepseek", "<｜tool▁calls▁begin｜>nonsense", True),
    ("deepseek", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\nno json<｜tool▁call▁end｜>", True),
    ("mistral", "[TOOL_CALLS]", True),
    ("mistral", "[TOOL_CALLS]!!", True),
    ("mistral", "[see the list]", False),
    ("granite", "<|tool_call|>none", True),
    ("json", '{"name": "Anna", "age": 3}', False),
    ("json", '{"name": "unknown_tool", "arguments": {}}', False),
    ("json", "{", False),
    ("json", "", False),
]


def read(
    form: ToolFormat, pieces: Sequence[str], *, truncated: bool = False, parallel: bool = True
) -> tuple[str, list[tuple[str, str]], list[str]]:
    parser = CallParser(CALL_FORMATS[form], TOOLS, parallel=parallel)
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    deltas += parser.finish(truncated=truncated)
    found = collect(deltas)
    return found.content, [(call.name, call.arguments) for call in found.tool_calls], parser.warnings


def ids(cases: list[Any]) -> list[str]:
    return [f"{case[0]}-{number}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("form", "text", "content", "calls"), REAL, ids=ids(REAL))
def test_a_real_call_is_read(form: ToolFormat, text: str, content: str, calls: list[tuple[str, Any]]) -> None:
    got_content, got_calls, warnings = read(form, [text])
    assert got_content == content
    assert [(name, json.loads(arguments)) for name, arguments in got_calls] == calls
    assert not warnings


@pytest.mark.parametrize(("form", "text", "warned"), NOT_CALLS, ids=ids(NOT_CALLS))
def test_what_is_no_call_is_content(form: ToolFormat, text: str, warned: bool) -> None:
    content, calls, warnings = read(form, [text])
    assert not calls
    assert content == text
    assert bool(warnings) == warned


ALL_CAPABILITIES = [(form, text) for form, text, *_ in [*REAL, *NOT_CALLS]]


@pytest.mark.parametrize(("form", "text"), ALL_CAPABILITIES, ids=ids(ALL_CAPABILITIES))
def test_streaming_gives_the_same_at_every_split(form: ToolFormat, text: str) -> None:
    """Cut anywhere, and fed character by character."""
    whole = read(form, [text])
    for at in range(len(text)):
        assert read(form, [text[:at], text[at:]]) == whole
    assert read(form, list(text)) == whole


@pytest.mark.parametrize(("form", "text"), ALL_CAPABILITIES, ids=ids(ALL_CAPABILITIES))
def test_cut_at_every_place_nothing_breaks(form: ToolFormat, text: str) -> None:
    for at in range(len(text)):
        cut = text[:at]
        whole = read(form, [cut], truncated=True)
        assert read(form, list(cut), truncated=True) == whole
        for _, arguments in whole[1]:
            assert isinstance(json.loads(arguments), dict)


FRAGMENTS = [text for _, text in ALL_CAPABILITIES] + [
    "<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
    "<function=", "<parameter=x>", "```", "```json\n", '{"name": "add", "arguments": ', "{", "}", "[", "]", '"', "'", "\\", ",", ":", ";", "\n", " ",
    "null", "1e9", "é", "\U0001f600", "<", ">", "｜",
]  # fmt: skip


@given(
    form=st.sampled_from(sorted(CALL_FORMATS)),
    parts=st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=8),
    cut=st.floats(0, 1),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    truncated=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_mixture_reads_the_same_in_any_pieces(
    form: ToolFormat, parts: list[str], cut: float, sizes: list[int], truncated: bool
) -> None:
    text = "".join(parts)
    text = text[: int(len(text) * cut) + 1]
    pieces, position, turn = [], 0, 0
    while position < len(text):
        step = sizes[turn % len(sizes)]
        pieces.append(text[position : position + step])
        position, turn = position + step, turn + 1
    whole = read(form, [text], truncated=truncated)
    assert read(form, pieces, truncated=truncated) == whole
    for _, arguments in whole[1]:
        assert isinstance(json.loads(arguments), dict)


def test_one_call_where_parallel_calls_are_off() -> None:
    text = REAL[2][1]
    _, calls, warnings = read("hermes", [text], parallel=False)
    assert [name for name, _ in calls] == ["get_weather"]
    assert "parallel_tool_calls" in warnings[0]


def test_a_call_of_a_tool_that_was_not_given_is_delivered_with_a_warning() -> None:
    _, calls, warnings = read("hermes", ['<tool_call>{"name": "fly", "arguments": {}}</tool_call>'])
    assert calls == [("fly", "{}")]
    assert "not among the tools" in warnings[0]


def test_an_answer_in_json_is_not_held_back() -> None:
    """Tools were offered, but an object whose first key is no call's streams at once."""
    parser = CallParser(CALL_FORMATS["json"], TOOLS)
    assert collect(parser.feed('{"answer": "it')).content == '{"answer": "it'


def test_long_arguments_in_small_pieces_are_read_in_good_time() -> None:
    text = '<tool_call>{"name": "add", "arguments": {"a": "' + "x{}'" * 25_000 + '"}}</tool_call>'
    _, calls, _ = read("hermes", [text[at : at + 4] for at in range(0, len(text), 4)])
    assert len(calls) == 1
    assert len(calls[0][1]) > 100_000


# -- calls that a constraint guarantees -------------------------------------------------------------------------------


def bound(pieces: Sequence[str], *, truncated: bool = False) -> tuple[str, list[tuple[str, str]], list[str]]:
    parser = BoundCalls()
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    deltas += parser.finish(truncated=truncated)
    found = collect(deltas)
    return found.content, [(call.name, call.arguments) for call in found.tool_calls], parser.warnings


@pytest.mark.parametrize(
    "text",
    [
        '{"name":"get_weather","arguments":{"city":"Paris } \\" {"}}',
        '{"name":"get_weather","parameters":{}}',
        '{"name": "add", "arguments": {"a": 1, "b": [{"c": 2}]}}',
        '{"answer":"no call"}',
        '{"name":"Anna","age":3}',
        '{"name":"Anna"}',
        "[1,2]",
        "3",
        '{"name":"get_weather","arguments":{"city":"Par',
    ],
)
def test_bound_calls_stream_the_same_at_every_split(text: str) -> None:
    whole = bound([text])
    for at in range(len(text)):
        assert bound([text[:at], text[at:]]) == whole
    assert bound(list(text)) == whole


def test_bound_arguments_come_while_they_are_written() -> None:
    parser = BoundCalls()
    pieces = ['{"name":"get_weather","argu', 'ments":{"ci', 'ty":"Par', 'is"}', "}"]
    deltas = [delta.tool_calls for piece in pieces for delta in parser.feed(piece)]
    assert deltas[0][0].name == "get_weather"
    assert deltas[0][0].id
    assert [delta[0].arguments for delta in deltas[1:]] == ['{"ci', 'ty":"Par', 'is"}']


def test_a_bound_answer_that_is_no_call_is_content() -> None:
    assert bound(['{"answer":"no call"}'])[:2] == ('{"answer":"no call"}', [])
    assert bound(['{"name":"Anna","age":3}'])[:2] == ('{"name":"Anna","age":3}', [])


def test_bound_arguments_that_were_cut_are_delivered_with_a_warning() -> None:
    _, calls, warnings = bound(['{"name":"get_weather","arguments":{"city":"Par'], truncated=True)
    assert calls == [("get_weather", '{"city":"Par')]
    assert "cut off" in warnings[0]
