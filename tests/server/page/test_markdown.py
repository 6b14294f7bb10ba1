"""Markdown as elements: never HTML, highlighted, with maths, tasks and tables, in time that grows with the text only."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.server.conftest import Server
from tests.support.browser import Browser

from .conftest import EMPTIES, opened


@pytest.fixture(scope="module")
def once(browser: Browser, page_server: Server) -> Browser:
    """Opened once: what is drawn here depends on nothing that was kept."""
    browser.resize(1440, 900)
    browser.open("about:blank")
    opened(browser, page_server)
    browser.run(EMPTIES)
    return browser


@pytest.fixture
def page(once: Browser) -> Iterator[Browser]:
    once.problems.clear()
    yield once
    assert once.problems == []


SHOWN = """import('./page/markdown/markdown.js').then(({ markdown }) => {
    const box = document.createElement('div');
    box.append(markdown(TEXT));
    return box.innerHTML;
})"""


def shown(page: Browser, text: str) -> str:
    return str(page.run(SHOWN.replace("TEXT", json.dumps(text))))


def drawn(page: Browser, text: str) -> None:
    """Into the page itself, in place of the conversation."""
    page.run(
        """import('./page/markdown/markdown.js').then(({ markdown }) => {
            const box = document.createElement('div');
            box.className = 'body';
            box.id = 'drawn';
            box.append(markdown(TEXT));
            document.querySelector('#log').replaceChildren(box);
        })""".replace("TEXT", json.dumps(text))
    )


def test_what_a_model_writes_is_never_read_as_html(page: Browser) -> None:
    assert "<img" not in shown(page, '<img src=x onerror="window.hacked=1">')
    assert "<script" not in shown(page, "```\n<script>window.hacked = 1</script>\n```")
    assert "href" not in shown(page, "[click](javascript:window.hacked=1) [data](data:text/html,x)")
    assert "href" not in shown(
        page, "![x](data:image/svg+xml,x) ![y](file:///etc/passwd) <javascript:alert(1)> <ftp://x>"
    )
    assert "<img" not in shown(page, "![x](https://example.org/x.png)")
    assert 'rel="noopener noreferrer"' in shown(page, "https://example.org/a_b_c")
    assert shown(page, "[**bold** https://b.example](https://a.example)").count("<a ") == 1
    assert "on" + "error" not in shown(page, "<svg/on" + "error=alert(1)>").replace("&lt;svg/onerror", "")
    assert "&lt;b&gt;" in shown(page, "**<b>bold</b>**")
    assert shown(page, "**bold** and `code`") == "<p><strong>bold</strong> and <code>code</code></p>"
    assert shown(page, "1. one\n2. two\n   - three").startswith('<ol start="1"><li>one</li><li>')
    assert "<td>2</td>" in shown(page, "| a | b |\n|---|---|\n| 1 | 2 |")
    assert page.run("window.hacked === undefined")


def test_code_is_coloured_and_says_its_language(page: Browser) -> None:
    text = "<b>x</b>\ndef f():\n    return '<script>'"
    drawn(page, f"```python\n{text}\n```\n\n```unheard-of\nx < 1\n```")
    page.wait("document.querySelector('#drawn .hl-keyword')")
    assert page.run("[...document.querySelectorAll('#drawn .code-head span')].map((n) => n.innerText)") == [
        "python",
        "unheard-of",
    ]
    assert page.run("document.querySelector('#drawn code').textContent") == text
    assert page.run("document.querySelectorAll('#drawn b, #drawn script').length") == 0
    page.run("document.querySelector('#drawn [aria-label=\"Copy code\"]').click()")
    page.wait("document.querySelector('#toast').innerText === 'Copied.'")


def test_formulas_are_mathml(page: Browser) -> None:
    drawn(
        page,
        "Euler: $e^{i\\pi} + 1 = 0$, \\(x^2\\).\n\n$$\n\\frac{a}{b}\n$$\n\n\\[ \\sum_{i=1}^n i \\]\n\nIt costs $5 and $6. $\\unknown{$",
    )
    page.wait("document.querySelectorAll('#drawn math').length === 4")
    assert page.run("document.querySelectorAll('#drawn .maths.display math').length") == 2
    assert page.run("document.querySelector('#drawn math').getAttribute('aria-label')") == "e^{i\\pi} + 1 = 0"
    assert "It costs $5 and $6." in page.text("#drawn")


@pytest.mark.parametrize(
    "formula",
    ["\\href{javascript:window.hacked=1}{x}", "\\includegraphics{https://example.org/x.png}", "\\url{javascript:window.hacked=1}",
     "\\def\\a{\\a\\a}\\a", "\\html{<img src=x onerror=window.hacked=1>}", "\\style{position:fixed}{x}", "\\rule{9999em}{9999em}"],
)  # fmt: skip
def test_a_hostile_formula_does_nothing(page: Browser, formula: str) -> None:
    drawn(page, f"${formula}$ and $x$")
    page.wait("document.querySelector('#drawn math')")
    assert (
        page.run("document.querySelectorAll('#drawn a, #drawn img, #drawn script, #drawn [href], #drawn [src]').length")
        == 0
    )
    assert page.run("window.hacked === undefined")
    assert page.run("document.querySelector('#drawn').scrollHeight < 5000")


def test_tasks_quotes_and_columns(page: Browser) -> None:
    found = shown(
        page, "- [x] done\n- [ ] not\n- [link](https://a.example)\n\n> said\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |"
    )
    assert found.count('type="checkbox"') == 2
    assert found.count('aria-label="done"') == 1
    assert '<th class="center">a</th>' in found
    assert '<td class="right">2</td>' in found
    assert "<blockquote><p>said</p></blockquote>" in found


KINDS = {
    "links": "[a](b", "brackets": "[", "closed brackets": "[a]", "pictures": "![", "emphasis": "*a ", "strong": "a**b c* ",
    "underscores": "a_ ", "struck": "~~a ", "backticks": "`a", "items": "- a\n", "quoted items": "> - ", "quotes": "> a\n\n",
    "headings": "# a #", "tables": "|a|b|\n|-|-|\n", "rows": "|a|b|\n", "fences": "```\na\n", "addresses": "https://a", "html": "<!-- <a ",
    "entities": "&amp; &", "escapes": "\\*", "lines": "a\n", "dollars": "$a ", "formulas": "$a$ ", "open formulas": "\\(a", "display": "$$a ",
    "blocks of formulas": "\\[\n", "broken blocks": "\\[\na\n\\] x\n", "tasks": "- [x] a\n", "code": "```js\nlet a = 'b' /* c\n```\n", "python": "```python\nf'{\n```\n",
}  # fmt: skip
MEASURED = """import('./page/markdown/markdown.js').then(({ markdown }) => {
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
     "".join(" " * depth + "- a\n" for depth in range(400)), "|" * 50_000 + "\n" + "|-" * 25_000, " " * 100_000 + "a",
     "$" + "{" * 1900 + "}" * 50 + "$", "```xml\n" + "<a " * 15_000 + "\n```"],
    ids=["quotes", "brackets", "stars", "lists", "columns", "spaces", "braces", "tags"],
)  # fmt: skip
def test_no_depth_breaks_the_page(page: Browser, text: str) -> None:
    spent, said = page.run(MEASURED.replace("TEXT", json.dumps(text)))
    assert spent < 10_000, f"{spent:.0f} ms"
    assert said


def test_what_is_written_so_far_is_not_drawn_again(page: Browser) -> None:
    text = "# Title\n\nFirst *words*.\n\n- one\n- two\n\n```js\nlet a;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nLast."
    found = page.run(
        """Promise.all([import('./page/markdown/markdown.js'), import('./page/markdown/growing.js')]).then(async ([{ markdown }, { Growing }]) => {
            const text = TEXT, box = document.createElement('div'), growing = new Growing(box);
            let first = null, changes = 0;
            for (let end = 1; end <= text.length; end += 1) {
                growing.update(text.slice(0, end));
                if (end === 40) first = box.firstChild;
                if (end > 40 && box.firstChild !== first) changes += 1;
            }
            const whole = document.createElement('div');
            whole.append(markdown(text));
            await new Promise((resolve) => setTimeout(resolve, 1500));  // the colours
            return [changes, box.innerHTML === whole.innerHTML, box.children.length, (growing.finish(text), box.textContent === whole.textContent)];
        })""".replace("TEXT", json.dumps(text))
    )
    assert found == [0, True, 6, True]
