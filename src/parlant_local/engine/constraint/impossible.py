"""No value fits: fatal for a whole schema, the end of one branch elsewhere."""

from __future__ import annotations

__all__ = ["Impossible"]


class Impossible(Exception):
    """No value within the limits fits here."""

    def __init__(self, keyword: str, why: str) -> None:
        super().__init__(why)
        self.keyword = keyword
