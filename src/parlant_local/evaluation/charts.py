"""Bars of shares as SVG: plain shapes that a page shows without scripts and styles of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from parlant_local.evaluation.statistics import Share

__all__ = ["COLOURS", "bars", "grouped_bars"]

COLOURS = ("#2f6f8f", "#c2703d", "#5b8a3a", "#8a5a9e", "#a33b4a", "#6b7280")
_LABEL, _BAR, _FIGURES, _ROW, _THICK = 150, 420, 150, 26, 12


def bars(title: str, shares: Mapping[str, Share]) -> str:
    """One bar per name, with its interval."""
    return grouped_bars(title, [""], {name: [share] for name, share in shares.items()})


def grouped_bars(title: str, series: Sequence[str], groups: Mapping[str, Sequence[Share | None]]) -> str:
    """For each name a bar per series, in the order of their colours."""
    step = max(_ROW, len(series) * (_THICK + 3) + 10)
    height = len(groups) * step + 24
    width = _LABEL + _BAR + _FIGURES
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title, quote=True)}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
        *(_rule(quarter, height) for quarter in range(5)),
    ]
    for row, (name, found) in enumerate(groups.items()):
        top = row * step + 6
        parts.append(_text(_LABEL - 10, top + step / 2 - 2, name, anchor="end"))
        parts += [
            _bar(share, top + index * (_THICK + 3), COLOURS[index % len(COLOURS)]) for index, share in enumerate(found)
        ]
    return "".join([*parts, "</svg>"])


def _rule(quarter: int, height: int) -> str:
    x = _LABEL + _BAR * quarter / 4
    line = f'<line x1="{x}" y1="0" x2="{x}" y2="{height - 18}" stroke="#8884" stroke-width="1"/>'
    return line + _text(x, height - 4, f"{25 * quarter} %", anchor="middle", size=11)


def _bar(share: Share | None, top: float, colour: str) -> str:
    if share is None or share.value is None:
        return _text(_LABEL + 4, top + _THICK - 2, "not examined", size=11)
    low, high = share.interval
    middle = top + _THICK / 2
    return (
        f'<rect x="{_LABEL}" y="{top}" width="{_BAR * share.value:.1f}" height="{_THICK}" fill="{colour}"/>'
        f'<line x1="{_LABEL + _BAR * low:.1f}" y1="{middle}" x2="{_LABEL + _BAR * high:.1f}" y2="{middle}" '
        'stroke="currentColor" stroke-width="1.5"/>'
        + _text(
            _LABEL + _BAR + 8, top + _THICK - 2, f"{100 * share.value:.0f} %  ({share.part} of {share.whole})", size=11
        )
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="currentColor">{escape(text)}</text>'
