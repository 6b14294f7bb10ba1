"""Calls that belong together, as an agent's backend for endpoints tells it in headers."""

from __future__ import annotations

from pathlib import Path

import httpx2

from parlant_local.backends.openai import OpenAIBackend
from parlant_local.backends.openai_wire import SCHEMA_HEADER, SESSION_HEADER
from parlant_local.settings import Settings
from tests.support.in_process import serving_here

TINY = "local/llama/parlant-local-tiny"
BEGINNING = "You are an agent of a bookshop. " + "Customers ask for books, and what they cost. " * 12


async def test_a_prefix_is_kept_for_each_schema_and_conversation(tmp_path: Path) -> None:
    settings = Settings.load(None, home=tmp_path, **{"model": TINY, "engine.n_ctx": 1024, "limits.name_characters": 64})
    with serving_here(settings) as server:
        async with OpenAIBackend(TINY, base_url=f"{server.url}/v1", name="house", affinity=True) as backend:
            for turn in range(2):
                for schema in ("One", "Two"):
                    question = f"{schema} {BEGINNING} {'and so on ' * turn}"
                    reply = await backend.chat(question, session="anna", prefix_group=schema, max_tokens=4)
            assert reply.usage.cached_tokens > 0.5 * reply.usage.prompt_tokens
            await backend.complete(BEGINNING, session="ben", prefix_group="Three", max_tokens=4)
        [loaded] = server.context.models.pool.loaded().values()
        room = loaded.engine._engine
        assert room is not None
        assert room._store is not None
        kept = {(entry.group, entry.session) for entry in room._store}
        assert {group for group, _ in kept} == {"One", "Two", "Three"}
        anna = {session for group, session in kept if group in ("One", "Two")}
        assert len(anna) == 1
        assert "anna" not in str(kept), "a digest of a digest"
        long = httpx2.post(
            f"{server.url}/v1/chat/completions",
            headers={SCHEMA_HEADER: "x" * 65},
            json={"model": TINY, "messages": [{"role": "user", "content": "Hello"}]},
        )
        assert long.status_code == 400
        assert "limits.name_characters" in long.text
        fine = httpx2.post(
            f"{server.url}/v1/chat/completions",
            headers={SESSION_HEADER: "é".encode("latin-1")},  # type: ignore[dict-item]  # as a hostile client may
            json={"model": TINY, "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]},
        )
        assert fine.status_code == 200
