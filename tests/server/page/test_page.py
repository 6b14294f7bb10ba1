"""The page in a real browser: it chats, stops, switches, downloads, shows what goes on, and needs no network."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fakes.slow_hub import SlowHub
from tests.support.browser import CHROMIUM, Browser
from tests.support.eventually import wait_until
from tests.support.in_process import InProcess

from .conftest import TINY, Server

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
ROOT = Path(__file__).parent.parent.parent
SHOTS = ROOT / "docs" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    browser.resize(1200, 800)
    browser.open("about:blank")
    browser.problems.clear()  # of the page before, whose server may have ended
    browser.open(f"{server.url}/")
    browser.wait("document.documentElement.dataset.ready")
    browser.run("(localStorage.clear(), sessionStorage.clear())")
    yield browser
    assert browser.problems == []


def shot(page: Browser, name: str) -> None:
    """Kept under docs/ where the environment asks for it."""
    if os.environ.get("PARLANT_LOCAL_SCREENSHOTS"):
        time.sleep(0.3)
        page.screenshot(SHOTS / f"{name}.png")


def ask(page: Browser, text: str) -> None:
    page.type("#message", text)
    page.press("Enter")


def test_a_question_is_answered_as_it_is_written(page: Browser) -> None:
    ask(page, "What is the capital of France?")
    page.wait("document.querySelector('.turn.assistant > div')?.innerText.length > 5")
    page.wait("!document.querySelector('#send').hidden")
    assert page.text(".turn.user").endswith("What is the capital of France?")
    assert re.search(r"\d+ tokens · [\d.,]+ tokens/s", page.text("#speed"))
    shot(page, "chat")


STOPS_AT_THE_FIRST_WORD = """
new MutationObserver((_, watching) => {
  if (!document.querySelector('.turn.assistant > div')?.textContent.trim()) return;
  watching.disconnect();
  document.querySelector('#stop').click();
}).observe(document.body, {subtree: true, childList: true, characterData: true}), true
"""


def engine(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{server.url}/api/status").json()["models"][TINY]["engine"]
    return found


def test_stop_ends_an_answer_and_the_model_stops_too(page: Browser, server: Server) -> None:
    page.run("document.querySelector('#options').open = true")
    # Sampling so hot that it hardly ever ends by itself.
    page.type("#temperature", "5")
    page.type("#max_tokens", "1800")
    for _ in range(10):  # an answer may end on its own before it is stopped, in the page or in the engine
        before = engine(server)["cancelled"]
        page.click("#clear")
        page.run(STOPS_AT_THE_FIRST_WORD)
        ask(page, "Tell me a very long story.")
        stopped = page.wait("document.querySelector('#speed').innerText").startswith("stopped")
        wait_until(lambda: not engine(server)["running"], "The model went on.")
        if stopped and engine(server)["cancelled"] > before:
            return
    raise AssertionError("No answer was long enough to be stopped.")


def test_another_model_can_be_chosen(browser: Browser, here: Callable[..., InProcess], tmp_path: Path) -> None:
    config = tmp_path / "two.yml"
    config.write_text(f"models:\n  second:\n    model: {TINY}\n    n_ctx: 512\n")
    second = here(config, model=TINY)
    browser.open(f"{second.url}/")
    browser.wait("document.documentElement.dataset.ready")
    assert browser.run("[...document.querySelector('#model').options].map((o) => o.value)") == [TINY, "second"]
    browser.run("(() => { const s = document.querySelector('#model'); s.value = 'second';"
                " s.dispatchEvent(new Event('change')); })()")  # fmt: skip
    ask(browser, "Hello")
    browser.wait("document.querySelector('.turn.assistant') && !document.querySelector('#send').hidden")
    used = httpx2.get(f"{second.url}/api/status").json()["models"]
    assert used["second"]["engine"]["finished"] >= 1


def test_a_model_is_loaded_and_unloaded(page: Browser) -> None:
    page.click("#tab-models")
    page.activate(f'[aria-label="Unload {TINY}"]')
    page.activate(f'[aria-label="Load {TINY}"]')
    page.wait(f"""document.querySelector('[aria-label="Unload {TINY}"]')""")
    shot(page, "models")


def test_a_download_shows_how_far_it_is_and_can_be_cancelled(
    browser: Browser, here: Callable[..., InProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    with SlowHub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        second = here(**{"downloads.max_rate_mb": 0.2})  # twenty seconds
        browser.open(f"{second.url}/#models")
        browser.wait("document.documentElement.dataset.ready")
        browser.type("#reference", "someone/slow-GGUF:Q8_0")
        browser.press("Enter")
        browser.wait("document.querySelector('.download progress')?.value > 0")
        shot(browser, "download")
        browser.activate('.download button[aria-label^="Cancel"]')
        browser.wait("document.querySelector('.download').innerText.includes('cancelled')")
        listed = httpx2.get(f"{second.url}/models").json()
        assert [item["state"] for item in listed["downloads"]] == ["cancelled"]
        kept = [item["status"] for item in listed["data"] if item["id"] != TINY]
        assert [(status["value"], status["done"] > 0) for status in kept] == [("incomplete", True)]


def test_a_chart_moves_while_the_model_works(page: Browser, server: Server) -> None:
    page.click("#tab-status")
    line = "document.querySelector('[data-chart=throughput] polyline').getAttribute('points')"
    before = page.wait(line)
    for _ in range(3):
        httpx2.post(
            f"{server.url}/v1/completions", json={"prompt": "Once", "max_tokens": 64, "temperature": 2}, timeout=60
        )
    page.wait(f"{line} !== {before!r}")
    page.wait("parseFloat(document.querySelector('[data-chart=throughput] b').innerText) > 0")
    assert TINY in page.text("#engine-rows")
    shot(page, "status")


def test_what_a_model_writes_is_never_read_as_html(page: Browser) -> None:
    script = """import('./page/markdown.js').then(({ markdown }) => {
        const box = document.createElement('div');
        box.append(markdown(TEXT));
        return box.innerHTML;
    })"""

    def shown(text: str) -> str:
        return str(page.run(script.replace("TEXT", json.dumps(text))))

    assert "<img" not in shown('<img src=x onerror="window.hacked=1">')
    assert "<script" not in shown("```\n<script>window.hacked = 1</script>\n```")
    assert "href" not in shown("[click](javascript:window.hacked=1) [data](data:text/html,x)")
    assert "href" not in shown("![x](data:image/svg+xml,x) ![y](file:///etc/passwd) <javascript:alert(1)> <ftp://x>")
    assert "<img" not in shown("![x](https://example.org/x.png)")
    assert 'rel="noopener noreferrer"' in shown("https://example.org/a_b_c")
    assert shown("[**bold** https://b.example](https://a.example)").count("<a ") == 1
    assert "on" + "error" not in shown("<svg/on" + "error=alert(1)>").replace("&lt;svg/onerror", "")
    assert "&lt;b&gt;" in shown("**<b>bold</b>**")
    assert shown("**bold** and `code`") == "<p><strong>bold</strong> and <code>code</code></p>"
    assert shown("1. one\n2. two\n   - three").startswith('<ol start="1"><li>one</li><li>')
    assert "<td>2</td>" in shown("| a | b |\n|---|---|\n| 1 | 2 |")
    assert page.run("window.hacked === undefined")


KINDS = {
    "links": "[a](b", "brackets": "[", "closed brackets": "[a]", "pictures": "![", "emphasis": "*a ", "strong": "a**b c* ",
    "underscores": "a_ ", "struck": "~~a ", "backticks": "`a", "items": "- a\n", "quoted items": "> - ", "quotes": "> a\n\n",
    "headings": "# a #", "tables": "|a|b|\n|-|-|\n", "rows": "|a|b|\n", "fences": "```\na\n", "addresses": "https://a", "html": "<!-- <a ",
    "entities": "&amp; &", "escapes": "\\*", "lines": "a\n",
}  # fmt: skip
MEASURED = """import('./page/markdown.js').then(({ markdown }) => {
    const box = document.createElement('div');
    const began = performance.now();
    box.append(markdown(TEXT));
    document.body.append(box);
    box.getBoundingClientRect();
    const spent = performance.now() - began;
    const said = box.textContent.length;
    box.remove();
    return [spent, said];
})"""


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_holds_the_page(page: Browser, kind: str) -> None:
    """100 kB of what takes backtracking readers minutes; the bound is far off what it takes, and far below that."""
    text = KINDS[kind] * (100_000 // len(KINDS[kind]))
    spent, said = page.run(MEASURED.replace("TEXT", json.dumps(text)))
    assert spent < 10_000, f"{kind}: {spent:.0f} ms"
    assert said


@pytest.mark.parametrize(
    "text",
    ["> " * 50_000 + "a", "[" * 50_000 + "a" + "]" * 50_000, "*" * 50_000 + "a" + "*" * 50_000,
     "".join(" " * depth + "- a\n" for depth in range(400)), "|" * 50_000 + "\n" + "|-" * 25_000, " " * 100_000 + "a"],
    ids=["quotes", "brackets", "stars", "lists", "columns", "spaces"],
)  # fmt: skip
def test_no_depth_breaks_the_page(page: Browser, text: str) -> None:
    spent, said = page.run(MEASURED.replace("TEXT", json.dumps(text)))
    assert spent < 10_000, f"{spent:.0f} ms"
    assert said


def test_what_is_written_so_far_is_not_drawn_again(page: Browser) -> None:
    text = "# Title\n\nFirst *words*.\n\n- one\n- two\n\n```js\nlet a;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nLast."
    found = page.run(
        """import('./page/markdown.js').then(({ markdown, Growing }) => {
            const text = TEXT, box = document.createElement('div'), growing = new Growing(box);
            let first = null, changes = 0;
            for (let end = 1; end <= text.length; end += 1) {
                growing.update(text.slice(0, end));
                if (end === 40) first = box.firstChild;
                if (end > 40 && box.firstChild !== first) changes += 1;
            }
            const whole = document.createElement('div');
            whole.append(markdown(text));
            return [changes, box.innerHTML === whole.innerHTML, box.children.length, (growing.finish(text), box.innerHTML === whole.innerHTML)];
        })""".replace("TEXT", json.dumps(text))
    )
    assert found == [0, True, 6, True]


def test_thoughts_are_folded_away(browser: Browser, here: Callable[..., InProcess], tmp_path: Path) -> None:
    from tests.support.gguf_models import qwen3

    model = qwen3(tmp_path / "thinker.gguf", n_ctx=1024)
    config = tmp_path / "thinker.yml"
    # Its template opens the thoughts, as reasoning models' own do.
    opened = (
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}<|im_start|>assistant\\n<think>\\n"
    )
    config.write_text(f'models:\n  thinker:\n    model: {model}\n    chat_format: "{opened}"\n')
    second = here(config, model="thinker")
    browser.open(f"{second.url}/")
    browser.wait("document.documentElement.dataset.ready")
    browser.run("document.querySelector('#model').value = 'thinker'")
    browser.type("#max_tokens", "40")
    ask(browser, "Think")
    browser.wait("document.querySelector('.turn details:not([hidden])')")
    assert browser.run("document.querySelector('.turn details').open") is False


def test_the_keyboard_reaches_everything_and_screen_readers_are_told(page: Browser) -> None:
    page.run("document.querySelector('#tab-chat').focus()")
    for name in ("models", "status", "switcher"):
        page.press("ArrowRight")
        assert page.run("document.activeElement.id") == f"tab-{name}"
        assert page.run(f"!document.querySelector('#{name}').hidden")
    shot(page, "switcher")
    page.press("Home")
    told = page.accessibility()
    for role in ("button", "textbox", "combobox", "tab", "log", "spinbutton"):
        for node in told:
            if node["role"] == role:
                assert node["name"], f"a {role} has no name"
    assert {"role": "log", "name": "Conversation"} in told
    assert page.run("document.documentElement.lang") == "en"


def test_pages_that_are_left_let_go_of_their_connections(page: Browser, server: Server) -> None:
    """A browser opens six to one server at most, and keeps the pages that were left for its back button."""
    for _ in range(8):
        page.open("about:blank")
        page.open(f"{server.url}/")
        page.wait("document.documentElement.dataset.ready")


def test_it_fits_a_phone_and_the_night(page: Browser) -> None:
    page.resize(380, 720, phone=True, dark=True)
    for name in ("models", "status", "switcher", "chat"):
        page.click(f"#tab-{name}")
        assert page.run("document.documentElement.scrollWidth <= 380"), f"{name} is too wide"
    ask(page, "Hello")
    page.wait("!document.querySelector('#send').hidden && document.querySelector('.turn.assistant')")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 26)"
    shot(page, "phone-dark")


@pytest.mark.parametrize(
    ("path", "sign"), [("docs", "#operations-chat-chat_completions_v1_chat_completions_post"), ("redoc", ".redoc-wrap")]
)
def test_the_api_is_described_without_a_network(browser: Browser, server: Server, path: str, sign: str) -> None:
    browser.open("about:blank")
    browser.problems.clear()
    browser.open(f"{server.url}/{path}")
    browser.wait(f"document.querySelector({sign!r})")
    assert [problem for problem in browser.problems if "cdn.redoc.ly" not in problem] == []


def test_a_key_is_asked_for_and_kept_in_the_tab(
    browser: Browser, here: Callable[..., InProcess], tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("me:correct-horse-battery\n")
    second = here(model=TINY, **{"auth.key_file": keys})
    browser.open(f"{second.url}/")
    browser.wait("document.querySelector('#login').open")
    browser.type("#key", "wrong-key-wrong-key")
    browser.press("Enter")
    browser.wait("document.querySelector('#login').open && document.querySelector('#login-note').innerText")
    browser.type("#key", "correct-horse-battery")
    browser.press("Enter")
    browser.wait("document.documentElement.dataset.ready && document.querySelector('#model').options.length")
    assert "correct-horse-battery" not in second.raw
    assert browser.run(
        "localStorage.length === Object.keys(localStorage).length && !JSON.stringify(localStorage).includes('horse')"
    )


def test_a_key_for_asking_sees_the_conversation_only(
    browser: Browser, here: Callable[..., InProcess], tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("me:correct-horse-battery\n")
    (tmp_path / "admins").write_text("chief:battery-staple-horse\n")
    second = here(model=TINY, **{"auth.key_file": tmp_path / "keys", "auth.admin_key_file": tmp_path / "admins"})

    def enter(key: str) -> None:
        browser.open("about:blank")
        browser.open(f"{second.url}/")
        browser.wait("document.querySelector('#login').open")
        browser.type("#key", key)
        browser.press("Enter")
        browser.wait("document.documentElement.dataset.ready && document.querySelector('#model').options.length")

    enter("correct-horse-battery")
    browser.wait("document.querySelector('#tab-models').getClientRects().length === 0")
    browser.wait("document.querySelector('#health').innerText === 'ready'")
    ask(browser, "Hello")
    browser.wait("!document.querySelector('#send').hidden && document.querySelector('.turn.assistant > div').innerText")
    browser.run("sessionStorage.clear()")
    enter("battery-staple-horse")
    browser.click("#tab-models")
    browser.wait(f"""document.querySelector('[aria-label="Unload {TINY}"]')""")
    asked = [line for line in second.log if line.get("status") == 403]
    assert len(asked) < 12, "it asks again and again for what it may not have"
