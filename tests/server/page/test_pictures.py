"""The pictures' section: made with progress, shown, made again, used as a start, downloaded, deleted; and what it says without a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.server.conftest import TINY, Server
from tests.support.browser import Browser

from .conftest import EMPTIES, SENT, opened
from .test_everywhere import AXE, violations

INSTALL = "from tests.support.scripted_images import install; install(seconds={seconds})"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two models that draw, one step in a fifth of a second."""
    found = Server(tmp_path_factory.mktemp("studio"), "--model", TINY, fault=INSTALL.format(seconds=0.2))
    yield found
    assert found.stop() == 0, found.raw[-3000:]
    assert '"level": "error"' not in found.raw, found.raw


@pytest.fixture
def pictures(browser: Browser, studio: Server) -> Iterator[Browser]:
    """The section, with nothing in it."""
    browser.resize(1440, 900)
    browser.open(f"{studio.url}/health")
    browser.run(EMPTIES)
    httpx2.delete(f"{studio.url}/api/images")
    browser.problems.clear()
    shown(browser, studio)
    yield browser
    assert browser.problems == []


def shown(browser: Browser, server: Server) -> None:
    browser.open("about:blank")  # else only the place in the page would change
    opened(browser, server, "#/pictures")
    browser.wait("document.querySelector('#draw').getClientRects().length > 0")


def draw(page: Browser, prompt: str = "a cat on a wall", **values: Any) -> None:
    page.type("#picture-prompt", prompt)
    for name, value in values.items():
        page.run(f"document.querySelector('#picture-{name}').value = '{value}'")
    page.click("#draw > button")


def there(page: Browser, count: int = 1) -> None:
    page.wait(
        f"document.querySelectorAll('#picture-cards .picture').length === {count} && !document.querySelector('#picture-jobs > *')"
    )
    page.wait(
        "[...document.querySelectorAll('.picture img')].every((image) => image.complete && image.naturalWidth > 0)"
    )


def test_a_picture_appears_in_the_gallery(pictures: Browser) -> None:
    pictures.run(
        """(() => { window.told = [];
        new MutationObserver(() => { const bar = document.querySelector('#picture-jobs progress');
            if (bar) window.told.push([bar.value, bar.getAttribute('aria-label'), document.querySelector('#picture-jobs p').textContent]); })
            .observe(document.querySelector('#picture-jobs'), {subtree: true, childList: true}); return true; })()"""
    )
    draw(pictures, negative="dogs", width=96, height=64, steps=4, guidance=5.5, seed=11)
    there(pictures)
    told = pictures.run("window.told")
    assert {"Step 1 of 4", "Step 2 of 4", "Step 3 of 4"} <= {text for _, _, text in told}
    assert [value for value, _, _ in told] == sorted(value for value, _, _ in told)
    assert {name for _, name, _ in told} == {"Progress of a cat on a wall"}
    assert pictures.run("document.querySelector('.picture img').naturalWidth") == 96
    assert pictures.run("document.querySelector('.picture img').alt") == "a cat on a wall"
    facts = pictures.text(".picture .facts")
    for fact in ("studio/painter", "96 × 64", "4 steps", "guidance 5.5", "seed 11"):
        assert fact in facts
    assert "Without: dogs" in pictures.text(".picture")
    assert pictures.text("#picture-news") == "The picture is there: a cat on a wall"
    saved = pictures.run("(a => [a.download, a.href])(document.querySelector('.picture a[download]'))")
    assert saved[0].endswith(".png")
    assert httpx2.get(saved[1]).content.startswith(b"\x89PNG")


def test_it_is_still_there_later(pictures: Browser, studio: Server) -> None:
    draw(pictures, steps=1)
    there(pictures)
    shown(pictures, studio)
    there(pictures)


def test_a_picture_is_made_again_and_from_another_one(pictures: Browser) -> None:
    draw(pictures, width=96, height=64, steps=2, seed=11)
    there(pictures)
    pictures.run(SENT)
    pictures.run("document.querySelector('[aria-label=\"Make again a cat on a wall\"]').click()")
    there(pictures, 2)
    [[path, body]] = pictures.run("window.sent")
    assert path == "api/images"
    assert body == {
        "prompt": "a cat on a wall", "negative_prompt": "", "n": 1, "model": "studio/painter", "width": 96, "height": 64, "steps": 2,
        "guidance": 7,
    }  # fmt: skip
    pictures.run("document.querySelector('[aria-label=\"Use as start a cat on a wall\"]').click()")
    assert pictures.run("document.activeElement.id") == "picture-prompt"
    assert pictures.run("document.querySelector('#picture-start img').alt") == "a cat on a wall"
    pictures.run("document.querySelector('#picture-prompt').value = ''")
    draw(pictures, "with a hat", strength=0.5)
    there(pictures, 3)
    assert "made from another picture" in pictures.text(".picture .facts")
    assert pictures.run("document.querySelector('[aria-label=\"Make again with a hat\"]')") is None, (
        "its start is not kept with it"
    )
    pictures.run("document.querySelector('[aria-label=\"Start from nothing\"]').click()")
    assert pictures.run("document.querySelector('#picture-start').hidden")


def test_a_job_is_cancelled(pictures: Browser, studio: Server) -> None:
    draw(pictures, steps=100)
    pictures.wait("document.querySelector('#picture-jobs progress')?.value > 0")
    pictures.run("document.querySelector('[aria-label=\"Cancel a cat on a wall\"]').focus()")
    pictures.wait("document.querySelector('#picture-jobs p').textContent.startsWith('Step 3')")
    assert pictures.run("document.activeElement.textContent") == "Cancel", "steps take no focus away"
    pictures.press("Enter")
    pictures.wait("!document.querySelector('#picture-jobs > *')")
    [job] = httpx2.get(f"{studio.url}/api/images").json()["jobs"]
    assert job["state"] == "cancelled"
    assert httpx2.get(f"{studio.url}/api/images").json()["pictures"] == []


def test_what_is_refused_is_told_and_nothing_is_lost(pictures: Browser) -> None:
    draw(pictures, steps=5000)
    pictures.wait("document.querySelector('#picture-note').textContent.includes('images.max_steps')")
    assert pictures.run("document.querySelector('#picture-prompt').value") == "a cat on a wall"
    pictures.problems.clear()  # the browser's own note of the refusal


def test_pictures_are_deleted(pictures: Browser, studio: Server) -> None:
    draw(pictures, steps=1, count=3)
    there(pictures, 3)
    pictures.run("document.querySelector('[aria-label=\"Delete a cat on a wall\"]').click()")
    pictures.wait("document.querySelector('#confirm').open")
    pictures.click("#confirm-yes")
    there(pictures, 2)
    pictures.click("#pictures-clear")
    pictures.wait("document.querySelector('#confirm').open")
    pictures.click("#confirm-yes")
    pictures.wait("!document.querySelector('#pictures-empty').hidden")
    assert httpx2.get(f"{studio.url}/api/images").json()["pictures"] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_and_it_fits_a_phone(pictures: Browser, studio: Server, dark: bool) -> None:
    draw(pictures, steps=1)
    there(pictures)
    pictures.resize(320, 700, phone=True, dark=dark)
    shown(pictures, studio)
    there(pictures)
    pictures.run(AXE.read_text("utf-8") + ";true")
    pictures.run("document.querySelector('[aria-label=\"Use as start a cat on a wall\"]').click()")
    draw(pictures, "x" * 200, steps=50)
    pictures.wait("document.querySelector('#picture-jobs progress')?.value > 0")
    assert violations(pictures) == []
    assert pictures.run(
        "document.documentElement.scrollWidth <= 320 && document.querySelector('main').scrollWidth <= 320"
    )
    pictures.run("document.querySelector('#picture-jobs button').click()")
    pictures.wait("!document.querySelector('#picture-jobs > *')")


def test_it_speaks_portuguese(pictures: Browser, studio: Server) -> None:
    draw(pictures, steps=1, negative="dogs")
    there(pictures)
    pictures.run("localStorage.setItem('parlant-local-language', 'pt')")
    shown(pictures, studio)
    there(pictures)
    pictures.run("document.querySelector('[aria-label=\"Usar como partida a cat on a wall\"]').click()")
    draw(pictures, " e um chapéu", steps=40, count=2)
    pictures.wait("document.querySelector('#picture-jobs p')?.textContent.startsWith('Imagem 1 de 2 · Passo 2')")
    pictures.run("document.querySelector('#picture-jobs button').click()")
    pictures.wait("!document.querySelector('#picture-jobs > *')")
    untold = pictures.run("import('./page/core/words.js').then(({ untold }) => [...untold])")
    assert [text for text in untold if len(text) > 1 and text[0] not in "[{"] == []
    pictures.run("localStorage.setItem('parlant-local-language', 'en')")


def test_without_a_model_it_says_how_to_get_one(page: Browser, page_server: Server) -> None:
    page.run("location.hash = '#/pictures'")
    page.wait("document.querySelector('#pictures-none').getClientRects().length > 0")
    assert not page.run("document.querySelector('#draw').getClientRects().length")
    for word in ("images:", "model: sd", "base_url", "docs/images.md"):
        assert word in page.text("#pictures-none")
    assert page.run("document.title").startswith("Pictures")
