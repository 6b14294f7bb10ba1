"""Draw docs/staircase.svg from the code: the rooms on their steps, and who imports whom.

Runs inside .venv: ``python .ci/picture.py [--check]``. The order of the steps is import-linter's contract in pyproject.toml, the
imports are grimp's (within functions and for the type checker, too), the words are each room's own first line.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "parlant_local"
TARGET = ROOT / "docs" / "staircase.svg"
PACKAGE = "parlant_local"
NO_ROOMS = {"__main__", "_version", "models"}  # the command's door, the version, the shipped model's file

ROW, COLUMN, GUTTER, TOP, MARGIN = 34, 34, 520, 118, 24
INK, FAINT, LINE, DOT, WRONG = "#1f2933", "#66727f", "#c9d3dd", "#2b6cb0", "#c53030"
STEPS = ("#e6f0fa", "#d3e4f5")


@dataclass(frozen=True)
class Room:
    name: str
    step: int
    words: str
    files: int
    lines: int


def main() -> None:
    sys.path.insert(0, str(ROOT / "src"))
    drawn = draw(rooms(), imports())
    if "--check" not in sys.argv:
        TARGET.write_text(drawn, encoding="utf-8")
        print(f"{TARGET.relative_to(ROOT)}: {len(drawn)} bytes")
    elif not TARGET.exists() or plan(TARGET.read_text(encoding="utf-8")) != plan(drawn):
        sys.exit(f"{TARGET.relative_to(ROOT)} shows an older plan; `make picture` draws it anew.")


def plan(drawn: str) -> str:
    """What has to be up to date: rooms, words and arrows. How many lines and imports there are may age until the next drawing."""
    return re.sub(r'class="figure"[^<]*', "", drawn)


def rooms() -> list[Room]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (found for found in project["tool"]["importlinter"]["contracts"] if found["type"] == "layers")
    steps = [[name.strip().removeprefix(f"{PACKAGE}.") for name in step.split("|")] for step in contract["layers"]]
    listed = [room(name, number) for number, step in enumerate(steps) for name in step]
    here = {
        path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))
    }
    if strangers := here - {found.name for found in listed} - NO_ROOMS - {"__init__", "__pycache__"}:
        sys.exit(f"On no step of the staircase in pyproject.toml: {', '.join(sorted(strangers))}")
    return listed


def room(name: str, step: int) -> Room:
    place = SOURCE / name
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    door = place / "__init__.py" if place.is_dir() else files[0]
    said = ast.get_docstring(ast.parse(door.read_text(encoding="utf-8"))) or ""
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    return Room(name, step, first_sentence(said), len(files), lines)


def first_sentence(said: str) -> str:
    sentence = " ".join(said.split("\n\n")[0].split()).replace("``", "")
    for end in (". ", "; ", ": "):
        sentence = sentence.partition(end)[0] if len(sentence) > 74 else sentence
    return sentence.rstrip(".") if len(sentence) <= 78 else f"{sentence[:76].rsplit(' ', 1)[0]} …"


def imports() -> dict[tuple[str, str], int]:
    """How many modules' imports lead from a room to another one."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    found: dict[tuple[str, str], int] = {}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = (home(importer), home(imported))
            if pair[0] != pair[1] and not NO_ROOMS & set(pair) and "" not in pair:
                found[pair] = found.get(pair, 0) + 1
    return found


def home(module: str) -> str:
    return module.removeprefix(PACKAGE).lstrip(".").split(".")[0]


def draw(listed: list[Room], found: dict[tuple[str, str], int]) -> str:
    at = {found_room.name: number for number, found_room in enumerate(listed)}
    width = MARGIN * 2 + GUTTER + COLUMN * len(listed) + 44  # the last heading leans out
    height = TOP + ROW * len(listed) + 64
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img" '
        'aria-label="The rooms of parlant-local on their steps, and who imports whom">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    edges = sorted(((at[a], at[b], count) for (a, b), count in found.items()))
    parts += [line for edge in edges for line in wire(*edge[:2])]
    for number, one in enumerate(listed):
        parts += box(number, one)
    parts += [line for edge in edges for line in dot(*edge)]
    parts += legend(listed, edges, height)
    return "\n".join([*parts, "</svg>", ""])


def x(column: int) -> float:
    return MARGIN + GUTTER + COLUMN * column


def y(row: int) -> float:
    return TOP + ROW * row


def wire(row: int, column: int) -> list[str]:
    """Out of the importing room along its row, then down (or, which must not be, up) into the imported one."""
    middle_x, middle_y = x(column) + COLUMN / 2, y(row) + ROW / 2
    start = x(row) + (COLUMN if column > row else 0)
    end = y(column) + (-1 if column > row else ROW + 1)
    colour = LINE if column > row else WRONG
    tip = f"{middle_x - 3.5},{end - 6} {middle_x + 3.5},{end - 6} {middle_x},{end}"
    return [
        f'<path d="M{start} {middle_y}H{middle_x}V{end}" fill="none" stroke="{colour}"/>',
        f'<polygon points="{tip}" fill="{FAINT}"/>' if column > row else "",
    ]


def box(number: int, one: Room) -> list[str]:
    left, top = x(number), y(number)
    shade = STEPS[one.step % 2]
    slash = "/" if one.files > 1 else ".py"
    figures = f"{one.files} files, {one.lines:,} lines" if one.files > 1 else f"{one.lines:,} lines"
    return [
        f'<rect x="{MARGIN}" y="{top + 1}" width="{left + COLUMN - MARGIN}" height="{ROW - 2}" rx="4" fill="{shade}"/>',
        f'<text x="{MARGIN + 10}" y="{top + 14.5}" font-size="13" font-weight="600" fill="{INK}">{escape(one.name)}{slash}'
        f'<tspan dx="8" font-size="10.5" font-weight="400" fill="{FAINT}" class="figure">{figures}</tspan></text>',
        f'<text x="{MARGIN + 10}" y="{top + 27.5}" font-size="10.5" fill="{FAINT}">{escape(one.words)}</text>',
        f'<rect x="{left + 3}" y="{top + 3}" width="{COLUMN - 6}" height="{ROW - 6}" rx="4" fill="{DOT}"/>',
        f'<text transform="translate({left + COLUMN / 2 + 3} {TOP - 8}) rotate(-55)" font-size="11.5" fill="{INK}">'
        f"{escape(one.name)}</text>",
    ]


def dot(row: int, column: int, count: int) -> list[str]:
    middle_x, middle_y = x(column) + COLUMN / 2, y(row) + ROW / 2
    colour = DOT if column > row else WRONG
    return [
        f'<circle cx="{middle_x}" cy="{middle_y}" r="10" fill="#ffffff" stroke="{colour}" stroke-width="1.5"/>',
        f'<text x="{middle_x}" y="{middle_y + 3.4}" font-size="9.5" text-anchor="middle" fill="{INK}" class="figure">{count}</text>',
    ]


def legend(listed: list[Room], edges: list[tuple[int, int, int]], height: float) -> list[str]:
    up = sum(1 for row, column, _ in edges if column < row)
    said = (
        f"A row: what a room imports, and by how many imports. A column: who imports it. Rooms of one shade stand on one step. "
        f"{'Nothing lies under the stairs: no import leads up.' if not up else f'{up} imports lead up the stairs (red).'}"
    )
    total = f"{len(listed)} rooms on {listed[-1].step + 1} steps, {sum(r.files for r in listed)} files, {sum(r.lines for r in listed):,} lines."
    return [
        f'<text x="{MARGIN}" y="{height - 32}" font-size="12" fill="{INK}">{said}</text>',
        f'<text x="{MARGIN}" y="{height - 14}" font-size="12" fill="{FAINT}" class="figure">{total}</text>',
    ]


if __name__ == "__main__":
    main()
