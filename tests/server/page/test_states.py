"""What an answer waits for is seen; the focus stays where a person types; what failed can be tried again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from tests.server.conftest import TINY, Server
from tests.support.browser import Browser
from tests.support.eventually import wait_until

from .conftest import SENT, answered, ask, choose, sent, setting

STATES = """(() => {
    window.states = [];
    new MutationObserver(() => {
        const text = document.querySelector('.turn.assistant:last-child .state')?.innerText.trim();
        if (text && window.states.at(-1) !== text) window.states.push(text);
    }).observe(document.querySelector('#log'), {subtree: true, childList: true, characterData: true, attributes: true});
    return true;
})()"""


def engine(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{server.url}/api/status").json()["models"][TINY]["engine"]
    return found


def test_loading_and_reading_are_told_with_their_share(page: Browser, page_server: Server) -> None:
    httpx2.post(f"{page_server.url}/models/unload", json={"model": TINY}, timeout=60).raise_for_status()
    page.run(STATES)
    setting(page, "max_tokens", "5")
    page.run(f"document.querySelector('#message').value = {json.dumps('hello strange world ' * 380)}")
    page.type("#message", "!")
    page.press("Enter")
    answered(page)
    told = page.run("window.states")
    assert any(text.startswith("Loading the model … ") and text.endswith("%") for text in told), told
    assert any(text.startswith("Reading the conversation … ") and text.endswith("%") for text in told), told


LETTERS = '{"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]{500}$"}}, "required": ["a"]}'
"""An answer that is long for sure."""
LONG = {
    "messages": [{"role": "user", "content": "Spell."}],
    "guided_grammar": "root ::= [a-z]{1500}",
    "max_tokens": 1500,
}


def test_the_place_in_the_queue_is_told(page: Browser, page_server: Server) -> None:
    """The server answers one request at a time."""
    with ThreadPoolExecutor(2) as pool:
        others = [
            pool.submit(httpx2.post, f"{page_server.url}/v1/chat/completions", json=LONG, timeout=120) for _ in range(2)
        ]
        wait_until(lambda: engine(page_server)["waiting"], "Nothing waits.")
        page.run(STATES)
        ask(page, "Hello")
        answered(page)
        assert [other.result().status_code for other in others] == [200, 200]
    told = page.run("window.states")
    assert any(text in ("In the queue, 1 before you …", "In the queue, next …") for text in told), told


def test_stop_ends_an_answer_and_the_model_stops_too(page: Browser, page_server: Server) -> None:
    setting(page, "schema", LETTERS)
    for _ in range(10):  # an answer may end on its own before it is stopped, in the page or in the engine
        before = engine(page_server)["cancelled"]
        page.click("#new-chat")
        ask(page, "Tell me a very long story.")
        page.wait("document.querySelector('.turn.assistant .body').innerText.length > 2")
        page.press("Escape")
        answered(page)
        wait_until(lambda: not engine(page_server)["running"], "The model went on.")
        if page.run("document.querySelector('.state.stopped')?.innerText.startsWith('Stopped.')") and (
            engine(page_server)["cancelled"] > before
        ):
            assert page.run("document.querySelector('.state [data-action=resume]') !== null")
            return
    raise AssertionError("No answer was long enough to be stopped.")


def test_the_focus_never_moves_while_a_person_types(page: Browser) -> None:
    setting(page, "schema", LETTERS)
    ask(page, "A long story, please.")
    page.wait("!document.querySelector('#stop').hidden")
    assert page.run("document.activeElement.id") == "message"
    page.type("#message", "the next ")
    page.press("Enter")  # neither sends nor stops
    page.type("#message", "question")
    answered(page)
    assert page.run("document.activeElement.id") == "message"
    assert "the next" in page.run("document.querySelector('#message').value")
    assert page.run("document.querySelectorAll('.turn.user').length") == 1


def test_a_failure_keeps_the_question_and_can_be_tried_again(page: Browser) -> None:
    page.run(SENT)
    choose(page, "second")  # 512 tokens of context
    page.run(f"document.querySelector('#message').value = {json.dumps('far too long ' * 400)}")
    page.type("#message", "!")
    page.press("Enter")
    page.wait("document.querySelector('.state.failed')")
    assert "512" in page.text(".state.failed")
    assert page.run("document.querySelector('.state.failed').getAttribute('role')") == "alert"
    assert page.text(".turn.user .body").startswith("far too long")
    page.problems.clear()  # the browser's own note of the refusal
    choose(page, TINY)
    page.run("document.querySelector('.state.failed [data-action=regenerate]').click()")
    answered(page)
    assert page.run("document.querySelector('.state.failed') === null")
    assert sent(page)[-1]["model"] == TINY
    page.problems.clear()


def test_thoughts_are_folded_away_with_their_time(page: Browser) -> None:
    choose(page, "thinker")
    setting(page, "max_tokens", "40")
    ask(page, "Think")
    page.wait("document.querySelector('.thoughts:not([hidden])')")
    answered(page)
    assert page.run("document.querySelector('.turn.assistant .thoughts').open") is False
    assert page.text(".turn.assistant .thoughts summary").startswith("Thought for ")


def test_another_model_answers_when_it_is_chosen(page: Browser, page_server: Server) -> None:
    assert page.run("[...document.querySelector('#model').options].map((o) => o.value)")[:2] == [TINY, "second"]
    choose(page, "second")
    ask(page, "Hello")
    answered(page)
    used = httpx2.get(f"{page_server.url}/api/status").json()["models"]
    assert used["second"]["engine"]["finished"] >= 1


def test_a_server_that_is_gone_is_told_in_the_pages_words(page: Browser) -> None:
    page.run(
        "(() => { const real = window.fetch; window.fetch = (path, options) => path === 'v1/chat/completions'"
        " ? Promise.reject(new TypeError('Failed to fetch')) : real(path, options); return true; })()"
    )
    ask(page, "Hello")
    page.wait("document.querySelector('.state.failed')")
    assert page.text(".state.failed span") == "The server is not responding. Is it still running?"


def test_a_full_context_is_told_apart_from_a_short_answer(page: Browser) -> None:
    choose(page, "second")
    page.run(
        "(() => { const real = window.fetch; window.fetch = (path, options) => real(path, path === 'v1/chat/completions'"
        " ? {...options, body: JSON.stringify({...JSON.parse(options.body), guided_grammar: 'root ::= [a-z]{4000}'})} : options); return true; })()"
    )
    ask(page, "hello strange world " * 20)
    page.wait("document.querySelector('.state.cut, .state.failed')")
    assert page.text(".state.cut").startswith("Cut off: the model's context is full.")
    assert page.run("document.querySelector('.state.cut button')") is None, "there is nothing to go on into"
    assert page.run("document.querySelector('#gauge').value / document.querySelector('#gauge').max") > 0.9


def test_escape_closes_a_menu_before_it_stops_an_answer(page: Browser) -> None:
    setting(page, "schema", LETTERS)
    page.click("#options-close")
    ask(page, "Spell.")
    page.wait("document.querySelector('.turn.running .body')?.innerText.length > 3")
    page.run("document.querySelector('#conversations [data-menu]').click()")
    page.press("Escape")
    page.wait("!document.querySelector(':popover-open')")
    assert page.run("document.querySelectorAll('.turn.running').length") == 1, "it goes on"
    page.press("Escape")
    page.wait("document.querySelector('.state.stopped')")
