"""A customer who talks to the agent through Parlant's own HTTP client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import httpx
from parlant.client import AsyncParlantClient
from parlant.client.core.api_error import ApiError

from parlant_local.errors import AgentError

__all__ = ["Customer", "Turn"]

_POLL_SECONDS = 30


@dataclass(frozen=True)
class Turn:
    """One message of the customer, and the agent's replies."""

    text: str
    preambles: tuple[str, ...]
    replies: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]
    """Data of the agent's message events, preambles included."""
    seconds: float
    problem: str = ""
    """Why there is no reply."""


class Customer:
    """One conversation; closed with ``async with``."""

    def __init__(
        self, address: str, agent_id: str, *, moderation: Literal["auto", "paranoid", "none"] = "none"
    ) -> None:
        self._http = httpx.AsyncClient(timeout=4 * _POLL_SECONDS, follow_redirects=True)
        self._client = AsyncParlantClient(base_url=address, httpx_client=self._http)
        self._agent_id = agent_id
        self._moderation = moderation
        self._session_id = ""
        self._offset = 0

    async def __aenter__(self) -> Customer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def post(self, text: str) -> Any:
        """Posts ``text`` and returns its event; the agent starts to answer."""
        async with _api_errors():
            if not self._session_id:
                session = await self._client.sessions.create(agent_id=self._agent_id, allow_greeting=False)
                self._session_id = session.id
            posted = await self._client.sessions.create_event(
                self._session_id, kind="message", source="customer", message=text, moderation=self._moderation
            )
        self._offset = posted.offset + 1
        return posted

    async def say(self, text: str) -> Turn:
        """Posts ``text`` and waits until the agent has finished, however slow the model is."""
        started = time.monotonic()
        await self.post(text)
        first = self._offset
        cancelled: set[str] = set()
        problem, done = "", False
        while not done:
            for event in await self._events():
                self._offset = event.offset + 1
                data = event.data if isinstance(event.data, Mapping) else {}
                status = data.get("status") if event.kind == "status" else None
                if status == "cancelled":  # an older turn, which this message interrupted
                    cancelled.add(event.trace_id)
                elif status == "error":
                    problem, done = _reason(data), True
                elif status == "ready" and event.trace_id not in cancelled:
                    done = done or _completed(data)
        messages = await self._agent_messages(first)
        preambles = [_text(data) for data in messages if _is_preamble(data)]
        replies = [reply for data in messages if not _is_preamble(data) and (reply := _text(data))]
        if not replies and not problem:
            problem = "the agent finished without a reply"
        return Turn(text, tuple(preambles), tuple(replies), tuple(messages), time.monotonic() - started, problem)

    async def _agent_messages(self, offset: int) -> list[Mapping[str, Any]]:
        """The agent's messages, read when they are complete: a streamed one first appears with a few words."""
        async with _api_errors():
            events = await self._client.sessions.list_events(
                self._session_id, min_offset=offset, kinds="message", source="ai_agent", wait_for_data=0
            )
        return [event.data for event in events if isinstance(event.data, Mapping)]

    async def _events(self) -> list[Any]:
        async with _api_errors():
            try:
                return list(
                    await self._client.sessions.list_events(
                        self._session_id, min_offset=self._offset, wait_for_data=_POLL_SECONDS
                    )
                )
            except ApiError as error:
                if error.status_code == 504:  # nothing new within the poll
                    return []
                raise


@asynccontextmanager
async def _api_errors() -> AsyncIterator[None]:
    """Errors of the server's API and of the connection to it, as this package's errors."""
    try:
        yield
    except ApiError as error:
        raise AgentError(f"The Parlant server responded with status {error.status_code}.") from error
    except httpx.HTTPError as error:
        raise AgentError(f"The Parlant server can't be reached: {type(error).__name__}.") from error


def _text(data: Mapping[str, Any]) -> str:
    return str(data.get("message", "")).strip()


def _is_preamble(data: Mapping[str, Any]) -> bool:
    return any("preamble" in str(tag) for tag in data.get("tags") or ())


def _completed(data: Mapping[str, Any]) -> bool:
    return (data.get("data") or {}).get("stage") == "completed"


def _reason(data: Mapping[str, Any]) -> str:
    reason = (data.get("data") or {}).get("exception") or "the turn failed"
    text = "".join(map(str, reason)) if isinstance(reason, list) else str(reason)
    return text.strip().splitlines()[-1][:300]
