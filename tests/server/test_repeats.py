"""A server that keeps answers says which ones it did not compute, and counts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai

from tests.support.in_process import InProcess

from .conftest import TINY


def _client(server: InProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_a_repeated_question_is_answered_from_before(here: Callable[..., InProcess], tmp_path: Path) -> None:
    server = here(model=TINY, **{"engine.outputs.memory_mb": 8, "engine.outputs.disk": True})
    asked: dict[str, Any] = {
        "model": TINY, "temperature": 0, "max_tokens": 24,
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
    }  # fmt: skip
    with _client(server) as client:
        first = client.chat.completions.create(**asked)
        again = client.chat.completions.create(**asked)
        pieces = list(client.chat.completions.create(**asked, stream=True))
        sampled = client.chat.completions.create(**{**asked, "temperature": 1})
        for _ in range(2):
            client.embeddings.create(model=TINY, input="a text")
    figures = httpx2.get(f"{server.url}/metrics", timeout=30).text
    assert f'parlant_local_output_hits_total{{model="{TINY}"}} 3.0' in figures
    assert f'parlant_local_output_misses_total{{model="{TINY}"}} 2.0' in figures
    assert (first.timings["from_cache"], again.timings["from_cache"]) == (False, True)  # type: ignore[attr-defined]
    assert again.choices[0].message.content == first.choices[0].message.content
    assert "Paris" in (first.choices[0].message.content or "")
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == (
        first.choices[0].message.content
    )
    assert not sampled.timings["from_cache"]  # type: ignore[attr-defined]
    assert len(list((tmp_path / "home" / "outputs").glob("*/*.output"))) == 2
