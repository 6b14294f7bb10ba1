"""An unsatisfiable schema: fatal at the root, the end of one branch elsewhere."""

from __future__ import annotations

__all__ = ["Impossible"]


class Impossible(Exception):
    """No value within the limits satisfies this subschema."""

    def __init__(self, keyword: str, reason: str) -> None:
        super().__init__(reason)
        self.keyword = keyword
