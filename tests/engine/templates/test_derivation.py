"""How a template writes calls and thoughts is derived from it, and its own writing is read back, whole and streamed."""

from __future__ import annotations

import json
import random
import re
import string
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlant_local.backends.llama_cpp.parsing import parse_text
from parlant_local.engine.templates import ChatTemplate
from parlant_local.messages import Message, Tool, ToolCall
from tests.support.places import CALL_TEMPLATES
from tests.support.round_trip import written

FOLDER = CALL_TEMPLATES
STYLES = sorted(path.stem for path in FOLDER.glob("*.jinja"))
WITHOUT_THOUGHTS = {"json-after-name", "json-bare"}

TOOLS = (
    Tool(
        "book_table",
        "Books a table.",
        {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "zip": {"type": "string"},
                "guests": {"type": "integer"},
                "budget": {"type": "number"},
                "outside": {"type": "boolean"},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "dishes": {"type": "array", "items": {"type": "string"}},
                "place": {
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "number": {"type": "integer"}},
                },
            },
        },
    ),
    Tool("ping"),
)


def source(style: str) -> str:
    return (FOLDER / f"{style}.jinja").read_text("utf-8")


@cache
def template(style: str) -> ChatTemplate:
    return ChatTemplate(source(style), bos="<s>", eos="</s>")


def conversation(calls: list[tuple[str, Any]], content: str = "", thought: str | None = None) -> list[Message]:
    written_calls = tuple(
        ToolCall(f"call0000{number}", name, json.dumps(arguments, ensure_ascii=False))
        for number, (name, arguments) in enumerate(calls)
    )
    return [Message.user("Hello"), Message("assistant", content, tool_calls=written_calls, reasoning=thought)]


def read(style: ChatTemplate, text: str, step: int | None = None) -> tuple[str, str, list[tuple[str, Any]]]:
    parsed = parse_text(style, text, TOOLS, step=step)
    assert not parsed.warnings, (parsed.warnings, text)
    return parsed.content, parsed.reasoning, [(call.name, call.parsed()) for call in parsed.tool_calls]


# -- every style ------------------------------------------------------------------------------------------------------

ARGUMENTS: dict[str, dict[str, Any]] = {
    "none": {},
    "one": {"name": "Ada"},
    "types": {"name": "Ada", "zip": "01234", "guests": 3, "budget": 12.5, "outside": True},
    "false": {"outside": False, "guests": 0, "budget": -1e-5},
    "nested": {"dishes": ["soup", "a, b] c"], "place": {"street": "Main", "number": 7}},
    "quotes": {"name": 'He said "it\'s" fine'},
    "braces": {"name": "{a: [1, 2]} } ]"},
    "marks": {"name": "<b>bold</b> </par> & </arg> ]] <", "zip": "1"},
    "lines": {"name": "one\ntwo\n\n  four"},
    "letters": {"name": "Zürich 東京 \U0001f600"},
    "looks like another type": {"zip": "true", "name": "null", "note": "text"},
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_derived(style: str) -> None:
    dialect = template(style).dialect(with_tools=True)
    assert dialect.capabilities.tool_calls
    assert dialect.syntax is not None
    assert (dialect.marks.thoughts is None) == (style in WITHOUT_THOUGHTS)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("what", ARGUMENTS)
def test_what_a_template_writes_is_read_back(style: str, what: str) -> None:
    chosen = template(style)
    several = chosen.dialect(with_tools=True).syntax.again is not None  # type: ignore[union-attr]  # derived, as tested above
    calls = [("book_table", ARGUMENTS[what]), *([("ping", {})] if several else [])]
    thought = None if style in WITHOUT_THOUGHTS else "The guest wants a table."
    text = written(chosen, conversation(calls, "", thought), TOOLS)
    whole = read(chosen, text)
    assert whole == ("", thought or "", calls)
    for step in (1, 7):
        assert read(chosen, text, step) == whole


@pytest.mark.parametrize("style", sorted(set(STYLES) - {"json-bare", "channels"}))
def test_text_before_a_call_is_content_at_every_split(style: str) -> None:
    chosen = template(style)
    calls = [("book_table", {"name": "Ada", "guests": 2})]
    text = written(chosen, conversation(calls, "One moment."), TOOLS)
    for step in range(1, len(text)):
        assert read(chosen, text, step) == ("One moment.", "", calls)


@pytest.mark.parametrize("style", STYLES)
def test_an_answer_without_calls_is_an_answer(style: str) -> None:
    chosen = template(style)
    said = 'Use a < b, or {"name": "x"} [1] if you like; <b>so</b>.'
    text = written(chosen, [Message.user("Hello"), Message.assistant(said)], TOOLS)
    assert read(chosen, text, 3) == (said, "", [])


@given(
    style=st.sampled_from(STYLES),
    arguments=st.fixed_dictionaries(
        {},
        optional={
            "name": st.text(st.characters(exclude_categories=["Cs", "Cc", "Co"]), max_size=20),
            "guests": st.integers(-(10**9), 10**9),
            "budget": st.floats(allow_nan=False, allow_infinity=False, width=32),
            "outside": st.booleans(),
        },
    ),
    step=st.integers(1, 9),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_values_survive(style: str, arguments: dict[str, Any], step: int) -> None:
    if "name" in arguments and (style == "python" or arguments["name"] != arguments["name"].strip()):
        arguments["name"] = re.sub(r"[\W_]+", " ", arguments["name"]).strip()  # it writes quotes without escaping them
    chosen = template(style)
    text = written(chosen, conversation([("book_table", arguments)]), TOOLS)
    assert read(chosen, text, step) == ("", "", [("book_table", arguments)])


def test_a_template_that_insists_on_short_ids_gets_them() -> None:
    call = ToolCall("call_0123456789abcdef", "ping", "{}")
    messages = [Message.user("Hello"), Message("assistant", "", tool_calls=(call,))]
    text = template("json-after-name").render([*messages, Message("tool", "pong", tool_call_id=call.id)], TOOLS)
    assert re.search(r"\[CALLID\][A-Za-z0-9]{9}\[GIVEN\]", text)


# -- marks by any name ------------------------------------------------------------------------------------------------

_MARKS = (
    "fncall ACTIONS usetool keyname keyvalue ponder inner section end_section one with end_one do done py_start py_end invoke "
    "run work CALLS CALLID GIVEN aside aloud shut calls tool args endtool stop XML"
).split()


def renamed(text: str, seed: int) -> str:
    """The template with the words in its marks replaced by random ones."""
    chance = random.Random(seed)
    names = {mark: "".join(chance.choices(string.ascii_letters, k=chance.randint(3, 12))) for mark in _MARKS}
    inside = re.compile(r"(?<=[<|~\[/:])(" + "|".join(sorted(_MARKS, key=len, reverse=True)) + r")(?=[>|~\] =:])")
    return inside.sub(lambda found: names[found[1]], text)


@given(style=st.sampled_from(STYLES), seed=st.integers(0, 10**9), what=st.sampled_from(sorted(ARGUMENTS)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_derivation_knows_no_names(style: str, seed: int, what: str) -> None:
    chosen = ChatTemplate(renamed(source(style), seed), bos="<s>", eos="</s>")
    calls = [("book_table", ARGUMENTS[what])]
    thought = None if style in WITHOUT_THOUGHTS else "Thinking."
    text = written(chosen, conversation(calls, "", thought), TOOLS)
    assert read(chosen, text) == ("", thought or "", calls)
    assert read(chosen, text, 1) == ("", thought or "", calls)


@given(
    style=st.sampled_from(sorted(set(STYLES) - {"elements"})),
    signs=st.sampled_from([("«", "»"), ("⟦", "⟧"), ("@@", "@@"), ("%%", "%%"), ("##", "##"), ("((", "))")]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nor_does_it_know_what_marks_are_made_of(style: str, signs: tuple[str, str]) -> None:
    opened, closed = signs
    marked = re.sub(r"<(/?[~A-Za-z_|:][^<>\s']*)>", lambda found: opened + found[1] + closed, source(style))
    chosen = ChatTemplate(marked, bos="<s>", eos="</s>")
    calls = [("book_table", ARGUMENTS["types"])]
    thought = None if style in WITHOUT_THOUGHTS else "Thinking."
    text = written(chosen, conversation(calls, "", thought), TOOLS)
    assert read(chosen, text, 1) == ("", thought or "", calls)


# -- types ------------------------------------------------------------------------------------------------------------


def tagged(**arguments: str) -> str:
    inside = "".join(f"<par={key}>\n{value}\n</par>\n" for key, value in arguments.items())
    return f"<usetool>\n<fn=book_table>\n{inside}</fn>\n</usetool>"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("zip", "01234", "01234"),
        ("zip", "42", "42"),
        ("zip", "true", "true"),
        ("zip", '{"a": 1}', '{"a": 1}'),
        ("guests", "3", 3),
        ("guests", "3.0", 3),
        ("budget", "3", 3),
        ("budget", "NaN", "NaN"),
        ("budget", "1e999", "1e999"),
        ("outside", "True", True),
        ("outside", "false", False),
        ("note", "null", None),
        ("note", "None", None),
        ("note", "nothing", "nothing"),
        ("dishes", '["a", "b"]', ["a", "b"]),
        ("dishes", "['a', 'b']", ["a", "b"]),
        ("place", '{"street": "Main"}', {"street": "Main"}),
        ("unknown", "7", 7),
        ("unknown", "seven", "seven"),
    ],
)
def test_a_value_in_tags_has_the_type_that_its_tool_gives_it(key: str, text: str, value: Any) -> None:
    parsed = parse_text(template("tags"), tagged(**{key: text}), TOOLS)
    (call,) = parsed.tool_calls
    assert json.loads(call.arguments, parse_constant=lambda word: pytest.fail(word)) == {key: value}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_lacks_never_make_invalid_json(number: str) -> None:
    text = f'<fncall>\n{{"name": "book_table", "arguments": {{"budget": {number}, "dishes": [{number}]}}}}\n</fncall>'
    (call,) = parse_text(template("json-in-tags"), text, TOOLS).tool_calls
    arguments = json.loads(call.arguments, parse_constant=lambda word: pytest.fail(word))
    assert arguments == {"budget": None, "dishes": [None]}


# -- what a customer says ---------------------------------------------------------------------------------------------


def test_a_value_that_quotes_the_marks_stays_one_value() -> None:
    """A mark counts only where something that may follow it does."""
    chosen = template("tags")
    said = "The customer wrote: </par> and </fn> and </usetool>, then <fn=ping>."
    text = written(chosen, conversation([("book_table", {"name": said, "guests": 1})]), TOOLS)
    for step in (None, 1):
        assert read(chosen, text, step) == ("", "", [("book_table", {"name": said, "guests": 1})])


def test_a_call_that_is_no_call_is_content_with_a_warning() -> None:
    for text in ("<usetool>\nbook a table\n</usetool>", "<usetool>\n<fn=book_table>\n<par=name>\nAda"):
        parsed = parse_text(template("tags"), text, TOOLS)
        assert not parsed.tool_calls
        assert parsed.content == text
        assert parsed.warnings


def test_a_template_whose_marks_are_ordinary_words_announces_calls_at_the_beginning_only() -> None:
    plain = source("json-in-tags").replace("\\n<fncall>\\n", "run ").replace("\\n</fncall>", " end")
    chosen = ChatTemplate(plain, bos="<s>", eos="</s>")
    call = '{"name": "ping", "arguments": {}}'
    assert [name for name, _ in read(chosen, f"run {call} end")[2]] == ["ping"]
    assert read(chosen, f"Please run {call} end")[2] == []


def test_reading_takes_time_in_proportion() -> None:
    """Ten times the text, about ten times the steps: counted, not timed."""
    chosen = template("tags")

    def steps(size: int) -> int:
        counted = 0

        class Counting(str):
            __slots__ = ()

            def find(self, *arguments: Any) -> int:
                nonlocal counted
                counted += 1
                return super().find(*arguments)

        text = Counting(tagged(name="</par> " * size))
        from parlant_local.engine.parsing.reading import SyntaxReader

        syntax = chosen.speech(TOOLS).syntax
        assert syntax is not None
        section = SyntaxReader(syntax, {tool.name: tool.parameters for tool in TOOLS})(text, True, ("book_table",))
        assert section is not None
        assert len(section.calls) == 1
        return counted

    assert steps(2000) <= 12 * steps(200)


def test_without_tools_given_calls_of_any_name_are_read() -> None:
    parsed = parse_text(template("tags"), tagged(guests="3").replace("book_table", "anything"))
    assert [(call.name, call.parsed()) for call in parsed.tool_calls] == [("anything", {"guests": 3})]
    assert parse_text(template("tags"), tagged(guests="3"), ()).tool_calls == ()


# -- what can't be told -----------------------------------------------------------------------------------------------

_UNTOLD = {
    "lines that nothing parts": "{% for k, v in c.function.arguments.items() %}  {{ k }}: {{ v | tojson }}{% endfor %}",
    "attributes of the call": "{% for k, v in c.function.arguments.items() %} {{ k }}={{ v | tojson }}{% endfor %}/>",
}


@pytest.mark.parametrize("what", _UNTOLD)
def test_a_syntax_that_does_not_read_its_own_probes_is_none(what: str) -> None:
    written_calls = "{% for c in m.tool_calls or [] %}<call name={{ c.function.name }}" + _UNTOLD[what] + "{% endfor %}"
    chosen = ChatTemplate(
        "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}"
        f"{written_calls}<|over|>{{% endfor %}}{{% if add_generation_prompt %}}<|assistant|>{{% endif %}}",
        bos="",
        eos="",
    )
    assert chosen.dialect(with_tools=True).capabilities.tool_calls
    assert chosen.dialect(with_tools=True).syntax is None


def test_a_template_that_wants_a_list_of_tools_gets_one() -> None:
    chosen = ChatTemplate(
        "{% for tool in tools %}{{ tool }}{% endfor %}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}",
        bos="",
        eos="",
    )
    assert chosen.render([Message("system", "Be brief."), Message.user("Hello")]) == "<|system|>Be brief.<|user|>Hello"


@pytest.mark.parametrize("value", ["It's", "both ' and \"", "back\\slash", "C:\\dir", "two\nlines", "a, b='c'", "')]"])
@pytest.mark.parametrize("step", [None, 1])
def test_strings_escaped_as_python_does_are_read(value: str, step: int | None) -> None:
    text = written(template("python"), conversation([("book_table", {"name": "Ada", "guests": 3})]), TOOLS)
    assert "'Ada'" in text
    assert read(template("python"), text.replace("'Ada'", repr(value)), step) == (
        "",
        "",
        [("book_table", {"name": value, "guests": 3})],
    )


def test_values_of_a_list_may_stand_on_lines_of_their_own() -> None:
    tool = Tool(
        "pick", "", {"type": "object", "properties": {"size": {"enum": ["small", "large"]}, "note": {"type": "string"}}}
    )
    text = written(template("tags"), conversation([("pick", {"size": "small", "note": "n"})]), [tool])
    assert "small" in text
    parsed = parse_text(template("tags"), text.replace("small", "\nsmall\n"), [tool])
    assert parsed.tool_calls[0].parsed()["size"] == "small"
