"""What a terminal shows of an output with its codes."""

from __future__ import annotations

import pyte

__all__ = ["shown_on"]


def shown_on(output: str, *, columns: int, rows: int) -> str:
    """The lines that scrolled away and those on the screen."""
    screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1.0)
    screen.set_mode(pyte.modes.LNM)  # output that passed no terminal driver has bare line feeds
    pyte.Stream(screen).feed(output)
    above = ["".join(line[x].data for x in range(columns)) for line in screen.history.top]
    return "\n".join(line.rstrip() for line in (*above, *screen.display)).rstrip()
