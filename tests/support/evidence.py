"""Pages under docs/evidence that several proofs write together, each its own section."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["machine", "table", "write_section"]


def machine() -> str:
    """This machine in words."""
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), no GPU used"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write_section(page: Path, title: str, text: str, *, command: str) -> None:
    """Replace the section ``title`` of ``page``, or add it at the end, with date, machine and command above ``text``."""
    section = f"## {title}\n\n{time.strftime('%Y-%m-%d')}, {machine()}. `{command}`\n\n{text.strip()}\n"
    old = page.read_text("utf-8")
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(old):
        new = pattern.sub(lambda _: section + "\n", old)
    else:
        new = f"{old.rstrip()}\n\n{section}"
    part = page.with_suffix(".part")
    part.write_text(new.rstrip() + "\n", "utf-8")
    part.replace(page)
