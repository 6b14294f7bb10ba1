"""Models: found, downloaded with a pause, loaded, marked, deleted after a question."""

from __future__ import annotations

from collections.abc import Callable

import httpx2

from tests.server.conftest import TINY, Server
from tests.support.browser import Browser

from .conftest import answered, opened

SLOW = "someone/slow-GGUF"
FOUND = f"document.querySelector('#found [data-reference=\"{SLOW}\"]')"


def test_models_are_found_with_what_a_choice_needs(page: Browser, shot: Callable[[Browser, str], None]) -> None:
    page.run("location.hash = '#/models'")
    page.type("#reference", "slow")
    page.press("Enter")
    page.wait(FOUND)
    told = page.run(f"{FOUND}.innerText")
    assert "Q8_0" in told
    assert "MB" in told
    assert "fits" in told
    page.run("document.querySelector('#reference').value = ''")
    page.type("#reference", "qwen3")
    page.press("Enter")
    page.wait("document.querySelector('#found [data-reference=\"qwen3:0.6b\"]')")
    assert "billion parameters" in page.text("#found") or "million parameters" in page.text("#found")
    shot(page, "search")


def test_a_download_is_paused_resumed_and_discarded(
    page: Browser, page_server: Server, shot: Callable[[Browser, str], None]
) -> None:
    page.run("location.hash = '#/models'")
    page.type("#reference", f"{SLOW}:Q8_0")
    page.click("#exact")
    page.wait("document.querySelector('.download progress')?.value > 0")
    shot(page, "download")
    page.activate('.download button[aria-label^="Pause"]')
    page.wait("document.querySelector('.download').innerText.includes('paused')")
    before = httpx2.get(f"{page_server.url}/models").json()["downloads"][0]["done"]
    assert before > 0
    page.activate('.download button[aria-label^="Resume"]')
    page.wait(f"document.querySelector('.download:not(.cancelled) progress')?.value > {before}")
    page.activate('.download button[aria-label^="Pause"]')
    page.wait("document.querySelector('.download').innerText.includes('paused')")
    assert httpx2.get(f"{page_server.url}/models").json()["downloads"][0]["done"] >= before
    page.activate('.download button[aria-label^="Discard"]')
    assert "danger" in page.run("document.querySelector('#confirm-yes').className")
    page.click("#confirm-yes")
    page.wait("!document.querySelector('.download')")
    left = httpx2.get(f"{page_server.url}/models").json()["data"]
    assert not any(SLOW in str(item["meta"].get("references")) for item in left)


def test_a_model_is_loaded_and_unloaded(page: Browser, shot: Callable[[Browser, str], None]) -> None:
    httpx = f'[aria-label="Load {TINY}"]'
    page.run("location.hash = '#/models'")
    if page.wait("document.querySelector('#model-cards .card') && document.querySelectorAll('.card').length > 0"):
        page.run(f"""document.querySelector('[aria-label="Unload {TINY}"]')?.click()""")
    page.activate(httpx)
    page.wait(f"""document.querySelector('[aria-label="Unload {TINY}"]')""")
    assert "Takes" in page.text(f'[data-model="{TINY}"]')
    assert "for demonstration only" in page.text(f'[data-model="{TINY}"]')
    shot(page, "models")


def test_the_first_screen_offers_real_models_that_fit(page: Browser) -> None:
    page.wait("document.querySelector('.offers li')")
    assert "GB to download" in page.text(".offers") or "MB to download" in page.text(".offers")
    assert "demonstration" in page.text(".welcome .model-state")
    page.run("document.querySelector('.example').click()")
    assert page.run("document.activeElement.id") == "message"
    page.press("Enter")
    answered(page)


def test_a_real_model_is_two_clicks_away(page: Browser, page_server: Server) -> None:
    """Where the hub has none of them, as here, its refusal is told where a person looks."""
    page.wait("document.querySelector('.offers [data-get]')")
    page.click(".offers [data-get]")
    page.wait("!document.querySelector('#models').hidden && document.querySelector('.download')")
    told = httpx2.get(f"{page_server.url}/models").json()["downloads"]
    assert any(item["reference"] in page.text("#downloads") for item in told)
    httpx2.post(f"{page_server.url}/models/cancel", json={"model": told[-1]["reference"]}, timeout=30)
    opened(page, page_server)
