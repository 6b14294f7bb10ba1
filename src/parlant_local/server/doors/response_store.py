"""Responses that are kept for a while, in memory, each for the key that asked for it."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import shown
from parlant_local.server.auth import Keeper
from parlant_local.server.shapes.chat import ChatMessage
from parlant_local.settings import ResponseSettings

__all__ = ["KeptResponse", "ResponseStore"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class KeptResponse:
    body: dict[str, Any]
    items: tuple[ChatMessage, ...]
    """The input, without the conversation before it."""
    before: KeptResponse | None
    size: int
    """Bytes of JSON, with those of the conversation before it, which it keeps alive."""
    until: float

    @property
    def conversation(self) -> list[ChatMessage]:
        """Everything said so far, this answer included."""
        turns: list[KeptResponse] = []
        turn: KeptResponse | None = self
        while turn is not None:
            turns.append(turn)
            turn = turn.before
        return [item for turn in reversed(turns) for item in (*turn.items, *turn._said())]

    def _said(self) -> Iterator[ChatMessage]:
        for item in self.body["output"]:
            yield ChatMessage.model_validate(item)


class ResponseStore:
    """Belongs to one event loop. Nobody finds what is kept for another owner."""

    def __init__(self, settings: ResponseSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._kept: dict[Keeper, OrderedDict[str, KeptResponse]] = {}
        self._size = 0

    @property
    def keeps(self) -> bool:
        return self._settings.max_count > 0

    def get(self, owner: Keeper, identity: str, param: str | None = None) -> KeptResponse:
        """Raises :class:`RequestRefusedError` for one that is not kept, or no longer."""
        self._expire()
        found = self._kept[owner].get(identity) if owner in self._kept else None
        if found is None:
            raise RequestRefusedError(
                404,
                f"No response {shown(identity)} is kept here: the last {self._settings.max_count} are, for "
                f"{self._settings.minutes:g} minutes and until the server ends (responses.max_count, responses.minutes), "
                "unless `store` is false. Send the whole conversation as input.",
                code="response_not_found",
                param=param,
            )
        return found

    def put(self, owner: Keeper, body: dict[str, Any], items: list[ChatMessage], before: KeptResponse | None) -> None:
        self._expire()
        size = len(json.dumps(body)) + sum(len(item.model_dump_json(exclude_none=True)) for item in items)
        size += before.size if before is not None else 0
        if not self.keeps or size > self._most:
            return
        kept = self._kept.setdefault(owner, OrderedDict())
        kept[body["id"]] = KeptResponse(body, tuple(items), before, size, self._clock() + 60 * self._settings.minutes)
        self._size += size
        while len(kept) > self._settings.max_count:
            self._drop(owner, next(iter(kept)))
        while self._size > self._most:
            largest = max(self._kept, key=lambda name: sum(item.size for item in self._kept[name].values()))
            self._drop(largest, next(iter(self._kept[largest])))

    def delete(self, owner: Keeper, identity: str) -> None:
        """Raises as :meth:`get`. Later responses keep what they need of it."""
        self.get(owner, identity)
        self._drop(owner, identity)

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    @property
    def _most(self) -> int:
        return int(self._settings.max_mb * _MIB)

    def _expire(self) -> None:
        now = self._clock()
        for owner, kept in list(self._kept.items()):
            for identity in [name for name, item in kept.items() if item.until <= now]:
                self._drop(owner, identity)

    def _drop(self, owner: Keeper, identity: str) -> None:
        kept = self._kept[owner]
        self._size -= kept.pop(identity).size
        if not kept:
            del self._kept[owner]
