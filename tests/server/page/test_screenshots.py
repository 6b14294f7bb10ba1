"""Every view at the widths of a desk, a tablet and a phone, by day and by night: docs/screenshots."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from parlant_local.agent_calls import AgentCallRecord, CallLog
from parlant_local.catalog.scores import Score, keep_score
from parlant_local.gguf_info import sha256_file
from tests.fakes.slow_hub import SlowHub
from tests.server.conftest import TINY, Server
from tests.support.browser import Browser
from tests.support.gguf_models import gemma3, qwen3

from .conftest import EMPTIES, SHOTS, opened

WIDTHS = {1440: 900, 768: 1024, 390: 844}
VIEWS = ("first", "chat", "models", "search", "status", "agent", "settings")
SAMPLE = """Here is a **short** answer with what Markdown can do.

- [x] read the question
- [ ] write the *rest*

```python
def greet(name: str) -> str:
    # polite, and short
    return f"Hello, {name}!"
```

| Model | Size | Speed |
|:--|--:|--:|
| small | 0.5 GB | 41 |
| large | 4.7 GB | 9 |

The sum is $\\sum_{i=1}^n i = \\frac{n(n+1)}{2}$.

> Quoted words stand apart."""
TALK = """import('./page/chat/library.js').then(async (library) => {
    const tree = await import('./page/chat/tree.js');
    const day = 86400000, told = [['Plan a week in Lisbon', 9], ['Why is the sky blue?', 1], ['Reply to a late customer', 0], ['Show me what you can write.', 0]];
    let last = null;
    for (const [text, ago] of told) {
        const made = tree.newConversation();
        const asked = tree.add(made, null, {role: 'user', content: text});
        tree.add(made, asked.id, {role: 'assistant', content: SAMPLE, reasoning: 'The person wants to see examples.', thought: 2.4, state: 'cut', model: MODEL, calls: [],
            figures: {tokens: 214, rate: 38.2, first: 0.31, prompt: 41, reused: 12}});
        made.model = MODEL;
        made.pinned = ago === 9;
        made.updated = Date.now() - ago * day;
        await library.keep(made);
        last = made;
    }
    return last.id;
})"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with models of several kinds, requests that went well and ill, and an agent's turns."""
    folder = tmp_path_factory.mktemp("shown")
    models = folder / "home" / "models"
    models.mkdir(parents=True)
    examined = qwen3(models / "Qwen3-1.7B-Q4_K_M.gguf", n_ctx=4096)
    gemma3(models / "gemma-3-270m-Q8_0.gguf")
    verdict = "Holds guidelines, tool calls and canned responses; loses journey steps in two of ten."
    keep_score(
        folder / "home",
        sha256_file(examined),
        Score("local/qwen/qwen3-1.7b-q4_k_m", 0.91, verdict, 158, "2026-11-26T00:00:00+00:00"),
    )
    with SlowHub() as hub:
        slow = {"HF_ENDPOINT": hub.url, "PARLANT_LOCAL_DOWNLOADS__MAX_RATE_MB": "0.2"}
        server = Server(folder, "--model", TINY, environment=slow)
        server.wait_loaded()
        _use(server)
        yield server
        server.stop()


def _use(server: Server) -> None:
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        schema = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"]}
        form = {"type": "json_schema", "json_schema": {"name": "Verdict", "schema": schema}}
        asked = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 60}
        for _ in range(3):
            http.post("/v1/chat/completions", json=asked)
        http.post("/v1/chat/completions", json={**asked, "response_format": form})
        http.post("/v1/chat/completions", json={**asked, "model": "nowhere"})
        http.post("/v1/chat/completions", json={**asked, "max_tokens": 3})
        http.post("/models", json={"model": "someone/slow-GGUF:Q8_0"})
        time.sleep(3)
        http.post("/models/cancel", json={"model": "someone/slow-GGUF:Q8_0"})
    log, now = CallLog(server.home), time.time()
    kinds = (
        ("GuidelineMatchesSchema", 3200, 2900, 60, 31, 2.2),
        ("GuidelineMatchesSchema", 3180, 2900, 58, 30, 2.0),
        ("ToolCallInferenceSchema", 2100, 1800, 41, 18, 1.4),
        ("CannedResponseDraftSchema", 4100, 3600, 25, 96, 3.1),
        ("CannedResponseSelectionSchema", 1900, 1700, 12, 9, 0.8),
    )
    for turn, ended in enumerate((now - 300, now - 40)):
        at = ended
        for kind, prompt, cached, forced, sampled, seconds in kinds:
            at += seconds / 2
            log.add(
                AgentCallRecord(
                    at, "Q6F04h1H", kind, TINY, "answered", seconds, retries=int(turn and "Draft" in kind),
                    prompt_tokens=prompt, cached_tokens=cached, completion_tokens=forced + sampled, forced_tokens=forced, sampled_tokens=sampled,
                )
            )  # fmt: skip


def _keep_busy(server: Server, seconds: float) -> None:
    words = "hello strange world " * 60
    until = time.monotonic() + seconds
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        while time.monotonic() < until:
            asked = {"messages": [{"role": "user", "content": words}], "guided_grammar": "root ::= [a-z]{300}"}
            http.post("/v1/chat/completions", json=asked)
            time.sleep(0.7)


def _show(page: Browser, server: Server, view: str) -> None:
    shown_id = page.run(TALK.replace("SAMPLE", json.dumps(SAMPLE)).replace("MODEL", json.dumps(TINY)))
    opened(page, server)
    place = {"chat": f"chat/{shown_id}", "settings": f"chat/{shown_id}", "first": "chat", "search": "models"}
    page.run(f"location.hash = '#/{place.get(view, view)}'")
    signs = {
        "first": "document.querySelector('.offers li')",
        "chat": "document.querySelector('.hl-comment') && document.querySelector('math')",
        "settings": "document.querySelector('.hl-comment') && document.querySelector('math')",
        "models": "document.querySelectorAll('#recommended .card').length && document.querySelectorAll('#model-cards .card').length > 2",
        "status": "document.querySelectorAll('#request-rows tr').length > 3",
        "agent": "document.querySelectorAll('.turn-card').length === 2",
    }
    if view == "search":
        page.type("#reference", "gemma")
        page.press("Enter")
    page.wait(signs.get(view, "document.querySelectorAll('#found .card').length > 2"))
    if view == "settings":
        page.click("#options-open")
    if view == "status":
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_keep_busy, server, 12)
            page.run("new Promise((resolve) => setTimeout(resolve, 13000))")
    page.run("document.activeElement.blur?.()")
    page.run("new Promise((resolve) => setTimeout(resolve, 400))")


@pytest.mark.evidence
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_shown(browser: Browser, shown: Server, view: str, width: int, dark: bool) -> None:
    browser.resize(width, WIDTHS[width], phone=width < 500, dark=dark)
    browser.open(f"{shown.url}/health")
    browser.run(EMPTIES)
    browser.problems.clear()
    opened(browser, shown)
    _show(browser, shown, view)
    assert browser.run(f"document.documentElement.scrollWidth <= {width}")
    assert browser.problems == []
    path = Path(SHOTS) / f"{view}-{width}-{'dark' if dark else 'light'}.webp"
    browser.screenshot(path)
    assert path.stat().st_size > 4000
