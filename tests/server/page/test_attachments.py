"""Pictures that go with a message: chosen, pasted, dropped, shown, sent, kept, and carried nowhere else."""

from __future__ import annotations

import json

from tests.server.conftest import Server
from tests.support.browser import Browser

from .conftest import SENT, answered, ask, opened, sent
from .test_everywhere import AXE, violations

PICTURE = """(async (name, type) => {
    const canvas = document.createElement('canvas');
    canvas.width = 3000; canvas.height = 30;
    canvas.getContext('2d').fillRect(0, 0, 9, 9);
    const blob = type.startsWith('image/') ? await new Promise((done) => canvas.toBlob(done, type)) : new Blob(['x']);
    const carried = new DataTransfer();
    carried.items.add(new File([blob], name, { type }));
    return carried;
})"""


def dropped(page: Browser, name: str = "cat.png", kind: str = "image/png") -> None:
    page.run(
        f"{PICTURE}({json.dumps(name)}, {json.dumps(kind)}).then((carried) => "
        "document.querySelector('#chat').dispatchEvent(new DragEvent('drop', { dataTransfer: carried, bubbles: true, cancelable: true })))"
    )


def pasted(page: Browser) -> None:
    page.run(
        f"{PICTURE}('paste.png', 'image/png').then((carried) => document.querySelector('#message').dispatchEvent("
        "new ClipboardEvent('paste', { clipboardData: carried, bubbles: true, cancelable: true })))"
    )


def attached(page: Browser) -> int:
    return int(page.run("document.querySelectorAll('#attached img').length"))


def test_a_picture_is_shown_sent_and_kept(page: Browser, page_server: Server) -> None:
    page.run(SENT)
    dropped(page)
    page.wait("document.querySelector('#attached img')")
    pasted(page)
    page.wait("document.querySelectorAll('#attached img').length === 2")
    page.run("document.querySelector('#attached [aria-label=\"Remove paste.png\"]').click()")
    assert attached(page) == 1
    ask(page, "What is it?")
    answered_or_failed(page)
    [body] = sent(page)
    picture, text = body["messages"][-1]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")  # scaled down
    assert attached(page) == 0
    assert page.run("document.querySelector('.turn.user .media img').naturalWidth") == 2048
    assert "reads no pictures" in page.text(".turn.assistant .state")  # the model of these tests has no eyes
    page.problems.clear()  # the refusal, which the browser notes as well
    opened(page, page_server)
    page.wait("document.querySelector('#conversations li a')")
    page.run("document.querySelector('#conversations li a').click()")
    page.wait("document.querySelector('.turn.user .media img')")


def answered_or_failed(page: Browser) -> None:
    page.wait("document.querySelector('.turn.assistant') && !document.querySelector('.turn.running')")


def test_another_conversation_gets_none_of_it(page: Browser) -> None:
    ask(page, "What is the capital of France?")
    answered(page)
    dropped(page)
    page.wait("document.querySelector('#attached img')")
    page.click("#new-chat")
    page.wait("!document.querySelector('#attached img')")
    assert page.run("document.querySelector('#attached').hidden")


def test_what_is_neither_picture_nor_sound_is_said(page: Browser) -> None:
    dropped(page, "note.txt", "text/plain")
    page.wait("document.querySelector('#toast').textContent.includes('note.txt is neither a picture nor a sound')")
    assert attached(page) == 0


def test_it_is_named_for_everybody(page: Browser) -> None:
    dropped(page)
    page.wait("document.querySelector('#attached img')")
    page.run(AXE.read_text("utf-8") + ";true")
    assert violations(page) == []
    page.resize(320, 700)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
