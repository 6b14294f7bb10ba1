"""What a template can't express is told in words it can; models without one get a stated default."""

from __future__ import annotations

import pytest

from parlant_local.engine.templates import ChatTemplate, named_templates
from parlant_local.errors import ConfigurationError, TemplateError
from parlant_local.messages import Message, Tool, ToolCall, as_messages

REFUSES_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}{% endfor %}"
)
DROPS_SYSTEM = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
ALTERNATES = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}"
    "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
ADD = Tool("add", "Adds two numbers.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def rendered(source: str, messages: list[Message], tools: tuple[Tool, ...] = ()) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages, tools)


@pytest.mark.parametrize("source", [REFUSES_SYSTEM, DROPS_SYSTEM], ids=["refused", "dropped"])
def test_a_system_message_that_a_template_refuses_or_drops_goes_before_the_first_question(source: str) -> None:
    text = rendered(source, [Message.system("Be terse."), Message.user("Hello")])
    assert text == "[user]Be terse.\n\nHello"


def test_a_system_message_alone_is_still_said() -> None:
    assert rendered(REFUSES_SYSTEM, [Message.system("Be terse.")]) == "[user]Be terse."


def test_neighbours_of_one_role_are_merged_where_roles_must_alternate() -> None:
    text = rendered(ALTERNATES, [Message.user("One."), Message.user("Two."), Message.assistant("Three.")])
    assert text == "[user]One.\n\nTwo.[assistant]Three."


def test_a_template_that_shows_everything_changes_nothing() -> None:
    messages = [Message.system("a"), Message.user("b"), Message.system("c"), Message.user("d"), Message.user("e")]
    assert rendered(PLAIN, messages) == "[system]a[user]b[system]c[user]d[user]e"


def test_tools_that_a_template_ignores_are_described_in_the_system_message() -> None:
    text = rendered(PLAIN, [Message.system("Be terse."), Message.user("Hello")], (ADD,))
    assert text.startswith("[system]Be terse.\n\nYou can call these functions")
    assert '"description": "Adds two numbers."' in text
    assert '{"name": "function_name", "arguments": {"argument_name": "value"}}' in text
    assert text.endswith("[user]Hello")


def test_calls_and_results_that_a_template_ignores_are_rewritten_as_text() -> None:
    text = rendered(
        PLAIN,
        [
            Message.user("1+1?"),
            Message("assistant", "I'll add.", tool_calls=(ToolCall("x1", "add", '{"a": 1}'),)),
            Message("tool", "2", tool_call_id="x1"),
        ],
    )
    assert text == '[user]1+1?[assistant]I\'ll add.\n{"name": "add", "arguments": {"a": 1}}[user]Result of add:\n2'


def test_the_older_function_role_is_a_tool_result() -> None:
    template = (
        "{% for m in messages %}[{{ m.role }}:{{ m.name }}]{{ m.content }}{% endfor %}{# <tool_call> <|im_start|> #}"
    )
    messages = as_messages(
        [
            {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}},
            {"role": "function", "name": "add", "content": "2"},
        ]
    )
    assert "[tool:add]2" in rendered(template, list(messages))


def test_text_parts_in_lists_are_joined() -> None:
    messages = as_messages(
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    )
    assert rendered(PLAIN, list(messages)) == "[user]ab"


def test_arguments_that_are_no_json_go_back_as_they_stood() -> None:
    source = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content or '' }}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name }}={{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"
    )
    text = rendered(source, [Message.user("x"), Message("assistant", tool_calls=(ToolCall("1", "add", "{broken"),))])
    assert 'add="{broken"' in text


def test_ids_that_mistral_would_refuse_are_mapped_to_ones_it_takes() -> None:
    source = (
        "[INST][TOOL_CALLS]{% for m in messages %}{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
        "{% if c.id | length != 9 %}{{ raise_exception('nine') }}{% endif %}<{{ c.id }}>{{ c.function | tojson }}{% endfor %}"
        "{% if m.role == 'tool' %}<{{ m.tool_call_id }}>{% endif %}{% endfor %}"
    )
    text = rendered(
        source,
        [
            Message.user("x"),
            Message("assistant", tool_calls=(ToolCall("call_1234567890", "add", "{}"),)),
            Message("tool", "2", tool_call_id="call_1234567890"),
        ],
    )
    ids = [part.partition(">")[0] for part in text.split("<")[1:]]
    assert len(ids) == 2
    assert ids[0] == ids[1]
    assert len(ids[0]) == 9


def test_a_second_template_for_tools_is_used_when_there_are_tools() -> None:
    template = ChatTemplate.of_model(
        {
            "tokenizer.chat_template": PLAIN,
            "tokenizer.chat_template.tool_use": "TOOLS {{ tools | tojson }} " + PLAIN,
        }
    )
    assert template.render([Message.user("Hello")]) == "[user]Hello"
    assert template.render([Message.user("Hello")], [ADD]).startswith('TOOLS [{"type": "function"')


def test_a_model_without_a_template_gets_chatml_and_a_warning() -> None:
    template = ChatTemplate.of_model({})
    assert template.render([Message.user("Hello")]) == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert "no chat template" in template.warnings[0]


@pytest.mark.parametrize("name", named_templates())
def test_every_named_template_shows_a_whole_conversation(name: str) -> None:
    template = ChatTemplate.of_model({}, bos="<s>", eos="</s>", chat_format=name)
    text = template.render(
        [Message.system("Be terse."), Message.user("Hello"), Message.assistant("Hi"), Message.user("Bye")]
    )
    for said in ("Be terse.", "Hello", "Hi", "Bye"):
        assert text.count(said) == 1, name
    assert text.index("Be terse.") < text.index("Hello") < text.index("Hi") < text.index("Bye")
    assert not template.warnings


def test_an_unknown_chat_format_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"Did you mean 'chatml'\?.*vicuna"):
        ChatTemplate.of_model({}, chat_format="chatlm")


def test_chat_format_may_be_a_templates_text() -> None:
    template = ChatTemplate.of_model({"tokenizer.chat_template": "never"}, chat_format=PLAIN)
    assert template.render([Message.user("Hello")]) == "[user]Hello"


def test_what_a_template_raises_reaches_the_caller() -> None:
    with pytest.raises(TemplateError, match="only on Sundays"):
        rendered("{{ raise_exception('only on Sundays') }}", [Message.user("Hello")])


def test_what_hugging_face_gives_to_templates_is_there() -> None:
    source = (
        "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% endfor %}{{ strftime_now('%Y') | length }}{{ dict(a=1).a }}{{ {'x': '<é>'} | tojson }}{{ [1] | tojson(indent=2) }}"
    )
    text = rendered(source, [Message.user("a"), Message.user("b")])
    assert text == 'a41{"x": "<é>"}[\n  1\n]'


def test_a_conversation_that_the_assistant_begins_gets_a_turn_before_it_where_roles_must_alternate() -> None:
    said = [Message.assistant("Welcome!"), Message.user("Hello")]
    assert rendered(ALTERNATES, said) == "[user][assistant]Welcome![user]Hello"
    assert rendered(PLAIN, said) == "[assistant]Welcome![user]Hello"
    late = (
        "{% if messages[0].role == 'system' %}{% set s = messages[0].content %}{% set rest = messages[1:] %}{% else %}"
        "{% set s = '' %}{% set rest = messages %}{% endif %}{{ s }}" + ALTERNATES.replace("in messages", "in rest")
    )
    assert rendered(late, [Message.system("Be terse."), *said]) == "Be terse.[user][assistant]Welcome![user]Hello"
    assert rendered(ALTERNATES, [Message.system("Be terse."), *said]) == "[user]Be terse.[assistant]Welcome![user]Hello"
