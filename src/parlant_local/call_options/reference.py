"""The table of options in ``docs/chat.md``.

``python -m parlant_local.call_options.reference`` writes it anew; a test says when it is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from parlant_local.call_options.definitions import OPTIONS
from parlant_local.call_options.option import Built, Option, Refused, Sent, Wire

__all__ = ["replaced", "table"]

_FIRST, _LAST = "<!-- options: made by `python -m parlant_local.call_options.reference` -->\n", "<!-- /options -->\n"


def table() -> str:
    rows = [
        "| Option | Values | Meaning | Command line | HTTP | Hint | OpenAI's API | Ollama |",
        "|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cells(option))} |" for option in OPTIONS.values()),
    ]
    return "\n".join(rows) + "\n"


def replaced(page: str) -> str:
    """The page with the table as it is now. :class:`ValueError` where its marks are missing."""
    before, _, rest = page.partition(_FIRST)
    _, mark, after = rest.partition(_LAST)
    if not mark:
        raise ValueError("The page has no place for the table.")
    return f"{before}{_FIRST}\n{table()}\n{_LAST}{after}"


def _cells(option: Option) -> Iterator[str]:
    yield f"`{option.name}`"
    yield _values(option)
    yield option.help.replace("|", "\\|")
    yield _yes(option.cli is not None)
    yield _yes(option.http is not None)
    yield _yes(option.hint)
    yield _wire_cell(option, option.openai)
    yield _wire_cell(option, option.ollama)


def _values(option: Option) -> str:
    if option.choices:
        return ", ".join(option.choices)
    if option.bounded:
        return option.range if option.name != "seed" else "64 bits"
    return {bool: "true, false", str: "text"}.get(option.kind, "") if option.kind else ""


def _wire_cell(option: Option, wire_form: Wire) -> str:
    if isinstance(wire_form, Refused):
        return "refused"
    if isinstance(wire_form, Sent):
        return f"`{wire_form.name or option.name}`"
    if isinstance(wire_form, Built):
        return ", ".join(f"`{name}`" for name in wire_form.fields) or "one call each"
    return "stays here"


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


if __name__ == "__main__":
    page = Path("docs/chat.md")
    page.write_text(replaced(page.read_text("utf-8")), "utf-8")
