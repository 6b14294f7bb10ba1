"""Answers that are being written, by their ids, for whoever wants to change their course."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from parlant_local.errors import RequestRefusedError
from parlant_local.messages import shown
from parlant_local.server.auth import Keeper
from parlant_local.server.history import RequestRecord

__all__ = ["RunningAnswers"]


class RunningAnswers:
    """Belongs to one event loop. Nobody finds the answers of another key."""

    def __init__(self) -> None:
        self._records: dict[tuple[Keeper, str], RequestRecord] = {}

    @contextmanager
    def known(self, keeper: Keeper, identity: str, record: RequestRecord) -> Iterator[None]:
        """While the block runs: by the answer's id, and by its request's."""
        names = [(keeper, identity), (keeper, record.id)]
        self._records.update(dict.fromkeys(names, record))
        try:
            yield
        finally:
            for name in names:
                if self._records.get(name) is record:  # a client may use an id of its own twice
                    del self._records[name]

    def find(self, keeper: Keeper, identity: str) -> RequestRecord:
        """Raises :class:`RequestRefusedError` for an answer that isn't being written."""
        record = self._records.get((keeper, identity))
        if record is None:
            raise RequestRefusedError(
                404, f"No answer {shown(identity)} is being written.", code="answer_not_found", param="id"
            )
        return record

    def __len__(self) -> int:
        return len(self._records)
