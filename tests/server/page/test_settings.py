"""Settings are each model's own; presets and prompts are kept; a schema binds; tools are answered by hand."""

from __future__ import annotations

import json

from tests.server.conftest import TINY, Server
from tests.support.browser import Browser

from .conftest import SENT, answered, ask, choose, opened, sent, setting


def value(page: Browser, name: str) -> str:
    return str(page.run(f"document.querySelector('#{name}').value"))


def pick(page: Browser, select: str, option: str) -> None:
    page.run(
        f"(() => {{ const s = document.querySelector('#{select}'); s.value = {json.dumps(option)};"
        " s.dispatchEvent(new Event('change')); })()"
    )


def test_each_model_has_its_own(page: Browser, page_server: Server) -> None:
    setting(page, "temperature", "0.3")
    setting(page, "system", "Be brief.")
    choose(page, "second")
    assert value(page, "temperature") == ""
    assert value(page, "system") == ""
    setting(page, "temperature", "1.5")
    choose(page, TINY)
    assert value(page, "temperature") == "0.3"
    opened(page, page_server)
    assert value(page, "system") == "Be brief."
    page.run(SENT)
    ask(page, "Hello")
    answered(page)
    body = sent(page)[0]
    assert body["temperature"] == 0.3
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    page.click("#options-open")
    page.click("#reset")
    page.click("#confirm-yes")
    page.wait("document.querySelector('#temperature').value === ''")
    choose(page, "second")
    assert value(page, "temperature") == "1.5"


def test_presets_and_prompts_are_kept(page: Browser) -> None:
    setting(page, "system", "You sell books.")
    setting(page, "top_k", "7")
    page.click("#preset-keep")
    page.type("#prompt-text", "Shop")
    page.press("Enter")
    page.wait("[...document.querySelector('#preset').options].some((o) => o.value === 'Shop')")
    page.click("#prompt-keep")
    page.type("#prompt-text", "Books")
    page.press("Enter")
    page.wait("[...document.querySelector('#prompt-choice').options].some((o) => o.value === 'Books')")
    pick(page, "preset", "Precise")
    assert (value(page, "temperature"), value(page, "top_k")) == ("0.2", "")
    assert value(page, "system") == "You sell books."
    choose(page, "second")
    pick(page, "preset", "Shop")
    assert (value(page, "top_k"), value(page, "system")) == ("7", "You sell books.")
    choose(page, "thinker")
    pick(page, "prompt-choice", "Books")
    assert value(page, "system") == "You sell books."
    page.run("document.querySelector('#prompt-drop').click()")
    page.wait("document.querySelector('#confirm').open")
    assert "danger" in page.run("document.querySelector('#confirm-yes').className")
    page.click("#confirm-yes")
    page.wait("document.querySelector('#prompt-drop').hidden")
    assert page.run("[...document.querySelector('#prompt-choice').options].length") == 1


def test_what_is_kept_is_not_replaced_or_deleted_unasked(page: Browser) -> None:
    setting(page, "top_k", "7")
    for answer in ("yes", "no"):
        page.click("#preset-keep")
        page.type("#prompt-text", "Shop")
        page.press("Enter")
        if answer == "no":
            page.wait("document.querySelector('#confirm').open")
            page.press("Escape")
        page.wait("!document.querySelector('#confirm').open && !document.querySelector('#prompt').open")
        page.wait("[...document.querySelector('#preset').options].some((one) => one.text === 'Shop')")
        setting(page, "top_k", "9")
    pick(page, "preset", "Shop")
    assert value(page, "top_k") == "7"
    page.click("#preset-drop")
    page.wait("document.querySelector('#confirm').open")
    page.press("Escape")
    page.wait("!document.querySelector('#confirm').open")
    pick(page, "preset", "Shop")
    assert value(page, "top_k") == "7"


def test_a_value_that_the_server_would_refuse_is_said_and_not_sent(page: Browser) -> None:
    setting(page, "temperature", "9")
    setting(page, "top_k", "1.5")
    assert page.text("#numbers-problem") == "Not used: Temperature: a number from 0 to 5, Top k: a whole number from 0"
    assert page.run("document.querySelector('#temperature').getAttribute('aria-invalid')") == "true"
    page.run("import('./page/models/models.js').then((models) => models.refresh())")
    page.run("import('./page/chat/picker.js').then((picker) => picker.refresh())")
    assert value(page, "temperature") == "9", "what a person types stays"
    page.run(SENT)
    ask(page, "Hello")
    answered(page)
    assert not {"temperature", "top_k"} & set(sent(page)[0])
    setting(page, "temperature", "0.5")
    setting(page, "top_k", "3")
    assert page.run("document.querySelector('#numbers-problem').textContent") == ""


def test_a_schema_binds_the_answer(page: Browser) -> None:
    setting(page, "schema", '{"type": "object"')
    assert page.text("#schema-problem").startswith("Not used: ")
    assert page.run("document.querySelector('#schema').getAttribute('aria-invalid')") == "true"
    setting(page, "schema", '{"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}')
    assert page.run("document.querySelector('#schema-problem').textContent") == ""
    ask(page, "Which city?")
    answered(page)
    assert json.loads(page.text(".turn.assistant .body")) == {"city": "Paris"}


CALLED = """(async () => {
    const library = await import('./page/chat/library.js');
    const tree = await import('./page/chat/tree.js');
    const made = tree.newConversation();
    const question = tree.add(made, null, {role: 'user', content: 'What is the weather?'});
    tree.add(made, question.id, {role: 'assistant', content: '', state: 'calls', calls: [{id: 'c1', name: 'weather', arguments: '{"city":"Paris"}'}]});
    await library.keep(made);
    location.hash = '#/chat/' + made.id;
    return true;
})()"""


def test_calls_are_shown_and_answered_by_hand(page: Browser) -> None:
    setting(page, "tools", '[{"name": 3}]')
    assert page.text("#tools-problem") == "Not used: Each tool needs a name."
    setting(
        page,
        "tools",
        '[{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]',
    )
    page.click("#options-close")
    page.run(SENT)
    page.run(CALLED)
    page.wait("document.querySelector('.call textarea')")
    assert '"city": "Paris"' in page.text(".call pre")
    page.type(".call textarea", "Sunny, 24 degrees.")
    page.run("document.querySelector('.results').requestSubmit()")
    page.wait("document.querySelector('.turn.tool')")
    answered(page, 2)
    body = sent(page)[0]
    assert body["tools"] == [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
    ]  # fmt: skip
    assert body["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "Sunny, 24 degrees."}
    assert body["messages"][-2]["tool_calls"][0]["function"]["name"] == "weather"


FORCED = """(() => {
    const real = window.fetch;
    window.fetch = (path, options) => {
        if (path !== 'v1/chat/completions') return real(path, options);
        const body = JSON.parse(options.body);
        if (body.messages.at(-1).role === 'user') body.tool_choice = 'required';
        return real(path, {...options, body: JSON.stringify(body)});
    };
    return true;
})()"""
CITY = '[{"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}}]'


def test_a_model_calls_and_goes_on_with_the_result(page: Browser) -> None:
    """A model that can't choose to call has to: the call streams, its form is filled in, and the answer follows."""
    setting(page, "tools", CITY)
    page.click("#options-close")
    page.run(FORCED)
    ask(page, "What is the weather?")
    page.wait("document.querySelector('.call textarea')")
    assert page.text(".call-name") == "Calls weather"
    assert json.loads(page.text(".call pre")) == {"city": "Paris"}
    page.run(SENT)
    page.type(".call textarea", "Sunny.")
    page.run("document.querySelector('.results').requestSubmit()")
    answered(page, 2)
    asked = sent(page)[-1]["messages"]
    assert [message["role"] for message in asked] == ["user", "assistant", "tool"]
    assert asked[2]["tool_call_id"] == asked[1]["tool_calls"][0]["id"]
    assert page.run("document.querySelector('.call textarea')") is None, "it was answered"
