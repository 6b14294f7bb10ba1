"""A customer who talks to the agent through Parlant's own HTTP client."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parlant.client import AsyncParlantClient

from parlant_local.errors import ParlantLocalError

__all__ = ["Customer", "Turn"]

_POLL_SECONDS = 30


@dataclass(frozen=True)
class Turn:
    """One thing the customer said, and what came back."""

    said: str
    preambles: tuple[str, ...]
    replies: tuple[str, ...]
    seconds: float
    problem: str = ""
    """Why there is no reply."""


class Customer:
    def __init__(self, address: str, agent_id: str) -> None:
        self._client = AsyncParlantClient(base_url=address, timeout=4 * _POLL_SECONDS)
        self._agent_id = agent_id
        self._session_id = ""
        self._offset = 0

    async def say(self, text: str) -> Turn:
        """Posts ``text`` and waits until the agent is done with it, however long an honest model takes."""
        if not self._session_id:
            session = await self._client.sessions.create(agent_id=self._agent_id, allow_greeting=False)
            self._session_id = session.id
        started = time.monotonic()
        posted = await self._client.sessions.create_event(
            self._session_id, kind="message", source="customer", message=text
        )
        self._offset = posted.offset + 1
        preambles: list[str] = []
        replies: list[str] = []
        problem, done = "", False
        while not done:
            for event in await self._events():
                self._offset = event.offset + 1
                data = event.data if isinstance(event.data, Mapping) else {}
                if event.kind == "message" and event.source == "ai_agent":
                    (preambles if _is_preamble(data) else replies).append(str(data.get("message", "")).strip())
                elif event.kind == "status" and data.get("status") == "error":
                    problem, done = _reason(data), True
                elif event.kind == "status" and data.get("status") == "ready":
                    done = done or _completed(data)
        replies = [reply for reply in replies if reply]
        if not replies and not problem:
            problem = "the agent fell silent"
        return Turn(text, tuple(preambles), tuple(replies), time.monotonic() - started, problem)

    async def _events(self) -> list[Any]:
        from parlant.client.core.api_error import ApiError

        try:
            return list(
                await self._client.sessions.list_events(
                    self._session_id, min_offset=self._offset, wait_for_data=_POLL_SECONDS
                )
            )
        except ApiError as error:
            if error.status_code == 504:  # nothing new within the poll
                return []
            raise ParlantLocalError(f"The Parlant server answered {error.status_code}.") from error


def _is_preamble(data: Mapping[str, Any]) -> bool:
    return any("preamble" in str(tag) for tag in data.get("tags") or ())


def _completed(data: Mapping[str, Any]) -> bool:
    return (data.get("data") or {}).get("stage") == "completed"


def _reason(data: Mapping[str, Any]) -> str:
    told = (data.get("data") or {}).get("exception") or "the turn failed"
    text = "".join(map(str, told)) if isinstance(told, list) else str(told)
    return text.strip().splitlines()[-1][:300]
