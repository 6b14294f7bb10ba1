"""What the page adds to an answer's time, and how soon it is there. Writes docs/evidence/page.md."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from parlant_local.server.assets import asset, asset_names
from tests.server.conftest import Server
from tests.support.browser import Browser
from tests.support.evidence import table, write_section

from .conftest import answered, ask, opened, setting

PAGE = Path(__file__).parents[3] / "docs" / "evidence" / "page.md"
COMMAND = "pytest -m evidence tests/server/page/test_page_evidence.py"
_MOST_MS = 20

WATCHED = """(() => {
    window.marks = [];
    let mark = null;
    document.querySelector('#message').addEventListener('keydown', (event) => { if (event.key === 'Enter') mark = {key: performance.now()}; }, true);
    const ask = window.fetch;
    window.fetch = (path, options) => { if (path === 'v1/chat/completions' && mark) mark.asked = performance.now(); return ask(path, options); };
    const read = ReadableStreamDefaultReader.prototype.read;
    ReadableStreamDefaultReader.prototype.read = async function () {
        const found = await read.call(this);
        if (mark && !mark.came && typeof found.value === 'string' && /"content":"[^"]/.test(found.value)) mark.came = performance.now();
        return found;
    };
    new MutationObserver(() => {
        if (mark?.came && !mark.seen && document.querySelector('.turn:last-child .body')?.textContent.trim()) {
            mark.seen = performance.now();
            window.marks.push(mark);
        }
    }).observe(document.querySelector('#log'), {subtree: true, childList: true, characterData: true});
    return true;
})()"""


@pytest.mark.evidence
def test_the_page_adds_less_than_20_ms(page: Browser, page_server: Server) -> None:
    paints = []
    for _ in range(5):
        page.open("about:blank")
        opened(page, page_server)
        paints.append(page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    page.run(WATCHED)
    setting(page, "max_tokens", "12")
    page.click("#options-close")
    for number in range(20):
        ask(page, f"What is {number} plus one?")
        answered(page, number + 1)
    marks = page.run("window.marks")
    assert len(marks) >= 18, "an answer or two may be empty"
    before = [mark["asked"] - mark["key"] for mark in marks]
    after = [mark["seen"] - mark["came"] for mark in marks]
    both = [first + second for first, second in zip(before, after, strict=True)]
    sizes = [len(found.packed) for name in asset_names() if (found := asset(name)) is not None]

    def row(name: str, values: list[float]) -> list[str]:
        return [name, f"{statistics.median(values):.1f} ms", f"{max(values):.1f} ms"]

    rows = [
        row("From Enter to the request", before),
        row("From the first piece's arrival to its text in the page", after),
        row("Both: what the page adds to an answer", both),
        row("First paint of the page, its files kept by the browser", paints),
    ]
    text = (
        f"{len(marks)} questions in a headless Chromium, beside its server on the same machine.\n\n"
        f"{table(['', 'median', 'largest'], rows)}\n\n"
        f"All files of the page, libraries included, are {sum(sizes) / 1000:.0f} kB compressed."
    )
    write_section(PAGE, "What the page adds", text, command=COMMAND)
    assert statistics.median(both) < _MOST_MS
