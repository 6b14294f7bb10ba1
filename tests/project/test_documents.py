"""Links between the repository's documents lead somewhere: files, and headings as GitHub names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "training").glob("*.md")])
_CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert dead_links(document) == []


def test_dead_links_are_seen(tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("# What is `here`, and why\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#what-is-here-and-why) [c](other.md#twice-1) [d](#own)\n\n# Own\n"
        "[e](none.md) [f](other.md#elsewhere) [g](#not-own)\n\n```\n[h](in-code.md)\n```\n"
    )
    assert dead_links(page) == ["none.md", "other.md#elsewhere", "#not-own"]


def test_every_page_is_reached_from_the_first_one() -> None:
    assert reached(ROOT / "docs" / "index.md") >= set((ROOT / "docs").rglob("*.md"))


def test_a_page_that_nothing_leads_to_is_not_reached(tmp_path: Path) -> None:
    start, middle, end, alone = (tmp_path / f"{name}.md" for name in ("start", "middle", "end", "alone"))
    start.write_text("[on](middle.md#on) [elsewhere](https://example.org/alone.md)\n```\n[not](alone.md)\n```\n")
    middle.write_text("# On\n[back](start.md) [on](end.md)\n")
    end.write_text("The end.\n")
    alone.write_text("[start](start.md)\n")
    assert reached(start) == {start, middle, end}


def reached(start: Path) -> set[Path]:
    """The documents that links lead to from this one, itself among them."""
    found, unread = {start}, [start]
    while unread:
        document = unread.pop()
        for path, _ in _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
            target = (document.parent / path).resolve()
            if target.suffix == ".md" and target.is_file() and target not in found:
                found.add(target)
                unread.append(target)
    return found


def dead_links(document: Path) -> list[str]:
    found = []
    for path, anchor in _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
        target = document.parent / path if path else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(f"{path}#{anchor}" if anchor else path)
    return found


def anchors(document: Path) -> set[str]:
    found: set[str] = set()
    for heading in _HEADING.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        again = sum(1 for name in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", name))
        found.add(f"{slug}-{again}" if again else slug)
    return found
