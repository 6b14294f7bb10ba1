"""The page on a phone, at night, in Portuguese, by keyboard, for a screen reader, without a network, behind keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server.conftest import TINY, Server
from tests.support.browser import Browser

from .conftest import answered, ask, opened

AXE = Path(__file__).parents[2] / "vendor" / "axe-core" / "axe.min.js"
SECTIONS = ("chat", "pictures", "models", "status", "agent")
CALLS = """import('./page/chat/thread.js').then((thread) => {
    const message = Object.values(thread.shown().messages).at(-1);
    Object.assign(message, {state: 'calls', calls: [{id: 'c', name: 'weather', arguments: '{"city": "Paris"}'}]});
    thread.show(thread.shown());
})"""
SAMPLE = "# Title\n\n- [x] done\n\n```python\nx = 1  # one\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n$a^2$ and [a link](https://example.org)\n\n> quoted"


def violations(page: Browser) -> list[str]:
    """What axe-core finds, each with the first element that has it."""
    found: list[str] = page.run(
        "axe.run({resultTypes: ['violations']}).then((r) => r.violations.map((v) => `${v.id}: ${v.nodes[0].html} ${v.nodes[0].failureSummary}`))"
    )
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(page: Browser, page_server: Server, width: int, dark: bool) -> None:
    page.resize(width, 900, phone=width < 500, dark=dark)
    opened(page, page_server)
    ask(page, "What is the capital of France?")
    answered(page)
    page.run(
        f"""import('./page/chat/thread.js').then((thread) => {{
            const message = Object.values(thread.shown().messages).at(-1);
            message.content = {SAMPLE!r}; message.state = 'cut'; message.reasoning = 'Hm.'; message.thought = 3;
            thread.show(thread.shown());
        }})"""
    )
    page.wait("document.querySelector('.hl-comment') && document.querySelector('math')")
    page.run(AXE.read_text("utf-8") + ";true")
    for section in SECTIONS:
        page.run(f"location.hash = '#/{section}'")
        page.wait(f"!document.querySelector('#{section}').hidden")
        page.wait("document.querySelector('#health').innerText !== 'connecting …'")
        assert violations(page) == [], section
    page.run("location.hash = '#/models'")
    page.type("#reference", "gemma")
    page.press("Enter")
    page.wait("document.querySelectorAll('#found .card').length > 3")
    assert violations(page) == [], "models that were found"
    page.run("location.hash = '#/chat'")
    page.run("document.querySelector('.turn.user [data-action=edit]').click()")
    assert violations(page) == [], "a question that is edited"
    page.run("document.querySelector('.turn.assistant [data-action=remove]').click()")
    page.wait("document.querySelector('#confirm').open")
    assert violations(page) == [], "a question to the person"
    page.press("Escape")
    page.run(CALLS)
    page.wait("document.querySelector('.call textarea')")
    assert violations(page) == [], "a call"
    page.run("document.querySelector('#new-chat').click()")
    page.wait("document.querySelector('.offers li')")
    assert violations(page) == [], "first screen"
    page.run("document.querySelector('#options-open').click()")
    assert violations(page) == [], "settings"
    page.run("document.querySelector('#options-close').click()")
    page.run("document.querySelector('#shortcuts').showModal()")
    assert violations(page) == [], "keys"
    page.run("document.querySelector('#shortcuts').close()")
    if width < 500:
        page.click("#menu")
        assert violations(page) == [], "drawer"
    page.run("document.querySelector('#conversations [data-menu]').click()")
    assert violations(page) == [], "a menu"


def test_it_fits_a_phone(page: Browser, page_server: Server) -> None:
    page.resize(390, 844, phone=True)
    opened(page, page_server)
    header = page.run("document.querySelector('header').getBoundingClientRect().height")
    assert header <= 64, "one row"
    for section in (*SECTIONS[1:], "chat"):
        page.click("#menu")
        page.wait("document.querySelector('#side').classList.contains('open')")
        page.run("new Promise((resolve) => setTimeout(resolve, 250))")
        page.click(f"#go-{section}")
        page.wait(f"!document.querySelector('#{section}').hidden")
        assert page.run(
            "document.documentElement.scrollWidth <= 390 && document.querySelector('main').scrollWidth <= 390"
        ), section
        assert not page.run("document.querySelector('#side').classList.contains('open')")
    ask(page, "Hello")
    answered(page)
    page.resize(320, 700, phone=True)
    for section in SECTIONS:
        page.run(f"location.hash = '#/{section}'")
        page.wait(f"!document.querySelector('#{section}').hidden")
        page.wait("document.documentElement.scrollWidth <= 320 && document.querySelector('main').scrollWidth <= 320")
    page.run("document.querySelector('#options-open').click()")
    assert page.run("document.querySelector('#options').scrollWidth <= 320")


def test_the_night_is_dark_and_still(page: Browser) -> None:
    page.resize(1440, 900, dark=True)
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 26)"
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 246)"
    moves = "[...document.styleSheets].flatMap((s) => [...s.cssRules]).filter((r) => r.cssText.includes('transition') || r.cssText.includes('animation'))"
    assert page.run(f"{moves}.every((r) => r.conditionText?.includes('prefers-reduced-motion: no-preference'))")


def test_it_speaks_portuguese(page: Browser, page_server: Server) -> None:
    page.run("localStorage.setItem('parlant-local-language', 'pt')")
    opened(page, page_server)
    assert page.run("document.documentElement.lang") == "pt"
    assert page.text("#new-chat") == "Nova conversa"
    assert page.run("document.querySelector('#message').placeholder") == "Escreva uma mensagem"
    ask(page, "Olá")
    answered(page)
    assert "lidos" in page.text(".turn.assistant .figures")
    page.run("document.querySelector('#options-open').click()")
    signs = {
        "models": "document.querySelector('#model-cards .card') && document.querySelector('#recommended .card')",
        "status": "document.querySelector('#request-rows td[data-label]')",
    }
    for section in SECTIONS:
        page.run(f"location.hash = '#/{section}'")
        page.wait(f"!document.querySelector('#{section}').hidden")
        page.wait(signs.get(section, "true"))
    untold = page.run("import('./page/core/words.js').then(({ untold }) => [...untold])")
    assert [text for text in untold if len(text) > 1 and text[0] not in "[{"] == []


def test_the_keyboard_reaches_everything(page: Browser) -> None:
    assert page.run("document.activeElement.id") == "message", "a person can write at once"
    reached = set()
    for _ in range(60):
        page.press("Tab")
        reached.add(page.run("document.activeElement.id || document.activeElement.textContent"))
    assert {"new-chat", "go-models", "go-agent", "search", "theme", "model", "options-open", "message"} <= reached
    for keys, sign in (
        ("{key: ',', ctrlKey: true}", "document.querySelector('#options').open"),
        ("{key: '/', ctrlKey: true}", "document.querySelector('#shortcuts').open"),
    ):
        page.run(f"document.dispatchEvent(new KeyboardEvent('keydown', {keys}))")
        page.wait(sign)
    told = page.text("#shortcut-list")
    assert "Stop the answer" in told
    assert "Search conversations" in told
    page.press("Escape")
    page.wait("!document.querySelector('#shortcuts').open")
    page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'k', ctrlKey: true}))")
    assert page.run("document.activeElement.id") == "search"


def test_pages_that_are_left_let_go_of_their_connections(page: Browser, page_server: Server) -> None:
    """A browser opens six to one server at most, and keeps the pages that were left for its back button."""
    for _ in range(8):
        page.open("about:blank")
        opened(page, page_server)


@pytest.mark.parametrize(
    ("path", "sign"), [("docs", "#operations-chat-chat_completions_v1_chat_completions_post"), ("redoc", ".redoc-wrap")]
)
def test_the_api_is_described_without_a_network(browser: Browser, page_server: Server, path: str, sign: str) -> None:
    browser.open("about:blank")
    browser.problems.clear()
    browser.open(f"{page_server.url}/{path}")
    browser.wait(f"document.querySelector({sign!r})")
    assert [problem for problem in browser.problems if "cdn.redoc.ly" not in problem] == []


def test_keys_are_asked_for_and_those_for_asking_see_the_chat_only(
    browser: Browser, start: Callable[..., Server], tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("me:correct-horse-battery\n")
    (tmp_path / "admins").write_text("chief:battery-staple-horse\n")
    second = start(
        "--model", TINY, "--api-key-file", str(tmp_path / "keys"), "--admin-key-file", str(tmp_path / "admins")
    )

    def enter(key: str) -> None:
        browser.open("about:blank")
        browser.open(f"{second.url}/")
        browser.wait("document.querySelector('#login').open")
        browser.type("#key", key)
        browser.press("Enter")

    browser.resize(1440, 900)
    enter("wrong-key-wrong-key")
    browser.wait("document.querySelector('#login').open && document.querySelector('#login-note').innerText")
    browser.type("#key", "correct-horse-battery")
    browser.press("Enter")
    browser.wait("document.documentElement.dataset.ready && document.querySelector('#model').options.length")
    assert "correct-horse-battery" not in second.raw
    assert browser.run("!JSON.stringify(localStorage).includes('horse')")
    browser.wait("document.querySelector('#go-models').getClientRects().length === 0")
    browser.wait("document.querySelector('#health').innerText === 'ready'")
    ask(browser, "Hello")
    answered(browser)
    browser.run("sessionStorage.clear()")
    enter("battery-staple-horse")
    browser.wait("document.documentElement.dataset.ready && document.querySelector('#model').options.length")
    browser.click("#go-models")
    browser.wait(f"""document.querySelector('[aria-label="Unload {TINY}"]')""")
    asked = [line for line in second.log if line.get("status") == 403]
    assert len(asked) < 12, "it asks again and again for what it may not have"
