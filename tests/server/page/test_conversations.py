"""Conversations are kept, found, renamed, pinned, deleted, branched, and taken away in files."""

from __future__ import annotations

import json
import re

from tests.server.conftest import Server
from tests.support.browser import Browser

from .conftest import SENT, answered, ask, opened, sent, setting

TITLES = "[...document.querySelectorAll('#conversations li a')].map((a) => a.innerText)"
USERS = "[...document.querySelectorAll('.turn.user .body')].map((n) => n.innerText)"


def menu(page: Browser, title: str, label: str) -> None:
    page.run(
        f"[...document.querySelectorAll('#conversations li')].find((li) => li.innerText.includes({json.dumps(title)}))"
        ".querySelector('[data-menu]').click()"
    )
    page.run(
        f"[...document.querySelectorAll('#row-menu button')].find((b) => b.innerText === {json.dumps(label)}).click()"
    )


def act(page: Browser, number: int, action: str) -> None:
    """Presses a button of the message at this place."""
    page.run(f"document.querySelectorAll('.turn')[{number}].querySelector('[data-action={action}]').click()")


def test_a_question_is_answered_with_its_figures(page: Browser) -> None:
    ask(page, "What is the capital of France?")
    answered(page)
    assert page.text(".turn.user .body") == "What is the capital of France?"
    assert len(page.text(".turn.assistant .body")) > 5
    figures = page.text(".turn.assistant .figures")
    assert re.search(r"\d+ tokens · [\d.,]+ tokens/s · first after .* · \d+ read, \d+ of them reused", figures)
    assert re.fullmatch(r"\d+ of 2,048 tokens of context used\.", page.text("#context"))


def test_they_outlive_the_page_and_are_found_by_their_words(page: Browser, page_server: Server) -> None:
    ask(page, "Tell me about herons.")
    answered(page)
    page.click("#new-chat")
    assert page.run("document.querySelectorAll('.turn').length") == 0
    ask(page, "What is a tram?")
    answered(page)
    assert page.run(TITLES) == ["What is a tram?", "Tell me about herons."]
    opened(page, page_server)
    page.wait("document.querySelectorAll('#conversations li').length === 2")
    page.type("#search", "HERONS")
    page.wait("document.querySelectorAll('#conversations li').length === 1")
    page.run("document.querySelector('#conversations li a').click()")
    page.wait("document.querySelector('.turn.user')")
    assert page.text(".turn.user .body") == "Tell me about herons."
    assert page.run("location.hash").startswith("#/chat/")


def test_a_new_one_carries_nothing_over(page: Browser) -> None:
    """Also while an answer is still being written: it goes on in its own conversation."""
    page.run(SENT)
    setting(page, "max_tokens", "400")
    setting(page, "temperature", "5")
    ask(page, "First, a very long story.")
    page.wait("document.querySelector('.turn.assistant .body').innerText.length > 3")
    page.click("#new-chat")
    assert page.run("document.querySelectorAll('.turn').length") == 0
    ask(page, "Second")
    answered(page)
    assert [message["content"] for message in sent(page)[1]["messages"]] == ["Second"]
    assert page.run(USERS) == ["Second"]
    page.run("[...document.querySelectorAll('#conversations a')].find((a) => a.innerText.includes('First')).click()")
    answered(page)
    assert page.run(USERS) == ["First, a very long story."]


def test_rename_pin_and_delete(page: Browser) -> None:
    for text in ("One", "Two"):
        page.click("#new-chat")
        ask(page, text)
        answered(page)
    menu(page, "One", "Pin")
    page.wait(f"{TITLES}[0] === 'One'")
    assert page.text("#conversations h2") == "Pinned"
    menu(page, "One", "Rename")
    page.type("#prompt-text", "Uno")
    page.press("Enter")
    page.wait(f"{TITLES}[0] === 'Uno'")
    menu(page, "Two", "Delete")
    assert "danger" in page.run("document.querySelector('#confirm-yes').className")
    assert page.run("document.activeElement.value") == "no", "the answer that keeps it has the focus"
    page.click("#confirm-yes")
    page.wait(f"{TITLES}.length === 1")
    page.wait("!document.querySelector('.turn')")


def test_an_edited_question_is_a_branch(page: Browser) -> None:
    ask(page, "What is the capital of France?")
    answered(page)
    act(page, 0, "edit")
    page.run("document.querySelector('.editing').value = ''")
    page.type(".editing", "What is the capital of Italy?")
    page.press("Enter")
    page.wait("document.querySelector('.turn.user .branch')?.innerText === '2/2'")
    answered(page)
    assert page.run(USERS) == ["What is the capital of Italy?"]
    page.click('.turn.user [aria-label="Earlier version"]')
    assert page.run(USERS) == ["What is the capital of France?"]
    assert page.run("document.querySelectorAll('.turn.assistant').length") == 1
    # The up arrow in an empty field edits the last question; Escape leaves it as it was.
    page.run("document.querySelector('#message').focus()")
    page.run(
        "document.querySelector('#message').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowUp', bubbles: true}))"
    )
    page.wait("document.activeElement.classList.contains('editing')")
    page.press("Escape")
    page.wait("document.activeElement.id === 'message'")
    assert page.run(USERS) == ["What is the capital of France?"]


def test_an_answer_is_made_again_and_deleted(page: Browser) -> None:
    ask(page, "Say something.")
    answered(page)
    act(page, 1, "regenerate")
    page.wait("document.querySelector('.turn.assistant .branch')?.innerText === '2/2'")
    answered(page)
    act(page, 1, "remove")
    page.click("#confirm-yes")
    page.wait("!document.querySelector('.turn.assistant .branch')")
    act(page, 0, "remove")
    page.click("#confirm-yes")
    page.wait("document.querySelector('.welcome')")


def test_a_cut_answer_is_continued(page: Browser) -> None:
    page.run(SENT)
    setting(page, "max_tokens", "3")
    ask(page, "What is the capital of France?")
    page.wait("document.querySelector('.state.cut')")
    before = page.run("document.querySelector('.turn.assistant .body').textContent.trim()")
    page.run("document.querySelector('.state.cut [data-action=resume]').click()")
    page.wait(f"document.querySelector('.turn.assistant .body').textContent.trim().length > {len(before)}")
    answered(page)
    last = sent(page)[-1]
    assert last["continue_final_message"] is True
    assert last["messages"][-1] == {"role": "assistant", "content": before}
    assert page.run("document.querySelector('.turn.assistant .body').textContent").startswith(before)
    assert page.run("document.querySelectorAll('.turn.assistant').length") == 1


MADE = """import('./page/chat/transfer.js').then(async (transfer) => {
    const library = await import('./page/chat/library.js');
    const [one] = library.list();
    const json = transfer.asJson([one]);
    const [again] = await transfer.read(new File([json], 'x.json'));
    await library.keep(again);
    const refused = [];
    for (const text of ['nonsense', '{}', '{"form": "parlant-local-conversations", "conversations": 3}'])
        await transfer.read(new File([text], 'x.json')).catch((error) => refused.push(error.message));
    const strange = {form: 'parlant-local-conversations', conversations: [null, {messages: {a: 1, 1: {role: 'system'}, 2: {role: 'user', content: {}, figures: {rate: 'x'}}}, chosen: {'': '2', x: '9'}}]};
    const [kept] = await transfer.read(new File([JSON.stringify(strange)], 'x.json'));
    return [transfer.asMarkdown(one), again.id !== one.id, JSON.stringify(again.messages) .length > 100, refused, kept.messages, kept.chosen];
})"""


def test_they_are_taken_away_and_brought_back(page: Browser) -> None:
    ask(page, "What is the capital of France?")
    answered(page)
    markdown, fresh, whole, refused, messages, chosen = page.run(MADE)
    assert markdown.startswith("# What is the capital of France?\n\n## You\n\nWhat is the capital of France?\n\n## ")
    assert fresh
    assert whole
    assert refused == ["The file is not JSON."] + ["The file has no conversations of this page."] * 2
    assert list(messages) == ["2"]
    assert messages["2"]["content"] == ""
    assert messages["2"]["figures"] == {}
    assert chosen == {"": "2"}
    page.wait(f"{TITLES}.length === 2")


def test_an_answer_is_edited_beside_the_first(page: Browser) -> None:
    ask(page, "What is the capital of France?")
    answered(page)
    first = page.text(".turn.assistant .body")
    act(page, 1, "edit")
    page.run("document.querySelector('.editing').value = ''")
    page.type(".editing", "Paris, **of course**.")
    page.press("Enter")
    page.wait("document.querySelector('.turn.assistant .branch')?.innerText === '2/2'")
    assert page.run("document.querySelector('.turn.assistant strong').innerText") == "of course"
    page.run(SENT)
    ask(page, "And of Italy?")
    answered(page, 2)
    assert sent(page)[0]["messages"][1] == {"role": "assistant", "content": "Paris, **of course**."}
    page.click('.turn.assistant [aria-label="Earlier version"]')
    assert page.text(".turn.assistant .body") == first


def test_what_is_being_written_stays_with_its_conversation(page: Browser, page_server: Server) -> None:
    field = "document.querySelector('#message').value"
    ask(page, "One")
    answered(page)
    page.type("#message", "half a thought")
    page.click("#new-chat")
    assert page.run(field) == ""
    page.type("#message", "of the new one")
    page.run("document.querySelector('#conversations li a').click()")
    page.wait(f"{field} === 'half a thought'")
    opened(page, page_server)
    assert page.run(field) == "of the new one", "a reload begins with a new one"
    ask(page, "!")
    answered(page)
    page.click("#new-chat")
    assert page.run(field) == ""


def test_the_tab_says_what_is_in_it(page: Browser) -> None:
    ask(page, "Tell me about herons.")
    answered(page)
    assert page.run("document.title") == "Tell me about herons. – parlant-local"
    page.run("location.hash = '#/status'")
    page.wait("document.title === 'Status – parlant-local'")


OTHER_TAB = """import('./page/core/store.js').then(async (store) => {
    const [one] = await store.all();
    WORK;
    new BroadcastChannel('parlant-local').postMessage(one.id);
    return true;
})"""


def test_what_another_tab_does_is_seen(page: Browser) -> None:
    ask(page, "One")
    answered(page)
    page.run(OTHER_TAB.replace("WORK", "one.title = 'Uno'; one.messages['1'].content = 'Uno?'; await store.put(one)"))
    page.wait(f"{TITLES}[0] === 'Uno' && {USERS}[0] === 'Uno?'")
    page.run(OTHER_TAB.replace("WORK", "await store.remove(one.id)"))
    page.wait(f"{TITLES}.length === 0")


def test_who_has_scrolled_up_stays_there(page: Browser) -> None:
    setting(page, "max_tokens", "60")
    for number in range(4):
        page.run(f"document.querySelector('#message').value = {json.dumps('word ' * 150)}")
        ask(page, str(number))
        answered(page, number + 1)
    page.wait("document.querySelector('#to-end').hidden")
    page.run("document.querySelector('#log').scrollTop = 0")
    page.wait("!document.querySelector('#to-end').hidden")
    page.click("#to-end")
    page.wait("document.querySelector('#to-end').hidden")
    assert page.run("document.querySelector('#log').scrollTop") > 0


LEFT = """Promise.all([import('./page/core/store.js'), import('./page/chat/tree.js')]).then(async ([store, tree]) => {
    for (const content of ['Half an', '']) {
        const made = tree.newConversation();
        const asked = tree.add(made, null, {role: 'user', content: content || 'Nothing came'});
        tree.add(made, asked.id, {role: 'assistant', content, calls: [], state: 'running', thinkingSince: 1});
        await store.put(made);
    }
    return true;
})"""


def test_an_answer_that_the_page_left_can_be_gone_on_with(page: Browser, page_server: Server) -> None:
    page.run(LEFT)
    opened(page, page_server)
    for title, state, action in (
        ("Half an", "Stopped.", "resume"),
        ("Nothing came", "The page was left before the answer came.", "regenerate"),
    ):
        page.run(f"[...document.querySelectorAll('#conversations a')].find((a) => a.innerText === {title!r}).click()")
        page.wait(f"document.querySelector('.turn.user .body')?.innerText === {title!r}")
        assert page.text(".turn.assistant .state span") == state
        assert page.run(f"document.querySelector('.state [data-action={action}]')") is not None
