"""One server and one browser for the folder. The server has a second model, one that thinks, and a hub that is slow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.slow_hub import SlowHub
from tests.server.conftest import TINY, Server
from tests.support.browser import CHROMIUM, Browser
from tests.support.gguf_models import qwen3
from tests.support.slow_loading import SLOW_LOADING

SHOTS = Path(__file__).parents[3] / "docs" / "screenshots"
THINKS = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}<|im_start|>assistant\n<think>\n"
"""Its template opens the thoughts, as reasoning models' own do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="Chromium is not installed (Debian: apt-get install chromium)"))


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    served = {
        "second": {"model": TINY, "n_ctx": 512},
        "thinker": {"model": str(qwen3(folder / "thinker.gguf", n_ctx=1024)), "chat_format": THINKS},
    }
    (folder / "page.yml").write_text(json.dumps({"models": served, "engine": {"n_seq_max": 1}}))
    with SlowHub() as hub:
        environment = {"HF_ENDPOINT": hub.url, "PARLANT_LOCAL_DOWNLOADS__MAX_RATE_MB": "0.2"}
        found = Server(
            folder, "--model", TINY, "--config", str(folder / "page.yml"), environment=environment, fault=SLOW_LOADING
        )
        found.wait_loaded()
        yield found
        assert found.stop() == 0, found.raw[-3000:]
    assert '"level": "error"' not in found.raw, found.raw


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser(1440, 900) as found:
        yield found


EMPTIES = """import('./page/core/store.js').then(async (store) => {
    for (const { id } of await store.all()) await store.remove(id);
    localStorage.clear();
    sessionStorage.clear();
    localStorage.setItem('parlant-local-language', 'en');
    return true;
})"""


@pytest.fixture
def page(browser: Browser, page_server: Server) -> Iterator[Browser]:
    """The page as somebody sees it for the first time."""
    browser.resize(1440, 900)
    browser.open(f"{page_server.url}/health")  # of the same origin, and nothing runs there
    browser.run(EMPTIES)
    browser.problems.clear()  # of the page before, whose server may have ended
    opened(browser, page_server)
    yield browser
    assert browser.problems == []


def opened(browser: Browser, server: Server, place: str = "") -> None:
    browser.open(f"{server.url}/{place}")
    browser.wait("document.documentElement.dataset.ready")


def ask(page: Browser, text: str) -> None:
    page.type("#message", text)
    page.press("Enter")


def answered(page: Browser, count: int = 1) -> None:
    """Until nothing is being written, and there are so many answers."""
    page.wait(
        f"document.querySelectorAll('.turn.assistant').length >= {count} && !document.querySelector('.turn.running')"
        " && !document.querySelector('#send').hidden"
    )


def choose(page: Browser, model: str) -> None:
    page.run(f"import('./page/chat/picker.js').then((picker) => picker.choose({json.dumps(model)}))")


def setting(page: Browser, name: str, text: str) -> None:
    """Typed into the panel, which is opened for it."""
    if not page.run("document.querySelector('#options').open"):
        page.click("#options-open")
    page.run(f"document.querySelector('#{name}').value = ''")
    page.type(f"#{name}", text)


SENT = """(() => {
    window.sent = [];
    const real = window.fetch;
    window.fetch = (path, options) => { if (options?.body) window.sent.push([path, JSON.parse(options.body)]); return real(path, options); };
    return true;
})()"""


def sent(page: Browser) -> list[dict[str, Any]]:
    """The chats that were asked for since :data:`SENT` ran."""
    found: list[list[Any]] = page.run("window.sent")
    return [body for path, body in found if path == "v1/chat/completions"]
