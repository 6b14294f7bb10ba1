"""The connection to an endpoint: the client that speaks OpenAI's API, and the events of its streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from parlant_local.backends.reconnecting import openai_transport
from parlant_local.backends.sse import EventReader

if TYPE_CHECKING:
    import httpx2
    import openai

__all__ = ["events_of", "make_client"]

_DRAIN_SECONDS = 0.25


def make_client(base_url: str, api_key: str | None, timeout: float, name: str, *, remote: bool) -> openai.AsyncOpenAI:
    import httpx2
    import openai

    client = openai.AsyncOpenAI(
        # Never None: that would take the environment's OpenAI credentials to whatever endpoint this is.
        api_key=api_key or "none",
        admin_api_key="",
        base_url=base_url,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,
            trust_env=remote,
            transport=openai_transport(base_url, trust_env=remote),
        ),
    )
    if name != "openai":
        client.organization = client.project = None
    return client


async def events_of(response: httpx2.Response, reader: EventReader) -> AsyncIterator[Any]:
    """The values of a stream; one alone where the endpoint answered whole although it was asked to stream."""
    kind = response.headers.get("content-type", "")
    if "json" in kind and "ndjson" not in kind:
        body = await response.aread()
        for value in reader.whole(body) or [*reader.feed(body), *reader.finish()]:  # some call their events JSON
            yield value
        return
    chunks = response.aiter_bytes()
    async for data in chunks:
        for value in reader.feed(data):
            yield value
        if reader.done:
            await _drained(chunks)
            return
    for value in reader.finish():
        yield value


async def _drained(chunks: AsyncIterator[bytes]) -> None:
    """Reads what little may follow the end, so that the connection serves again; one that does not end is given up.

    The answer is whole, so that nothing which happens to its connection now is its failure.
    """
    import httpx2

    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
