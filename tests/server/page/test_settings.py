"""Settings are each model's own; presets and prompts are kept; a schema binds; tools are answered by hand."""

from __future__ import annotations

import json
from collections.abc import Callable

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
    assert page.run("[...document.querySelector('#prompt-choice').options].length") == 1


def test_a_schema_binds_the_answer(page: Browser, shot: Callable[[Browser, str], None]) -> None:
    setting(page, "schema", '{"type": "object"')
    assert page.text("#schema-problem").startswith("Not used: ")
    assert page.run("document.querySelector('#schema').getAttribute('aria-invalid')") == "true"
    setting(page, "schema", '{"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}')
    assert page.run("document.querySelector('#schema-problem').textContent") == ""
    shot(page, "settings")
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


def test_calls_are_shown_and_answered_by_hand(page: Browser, shot: Callable[[Browser, str], None]) -> None:
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
    shot(page, "tool-call")
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
