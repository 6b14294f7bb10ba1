"""The blocks of code in the repository's documents, and what is to be done with each.

A block is run by what its language says. Where that can't be, a comment on the line before it, which no reader of the rendered
page sees, says what is done instead::

    <!-- not run: network: the index of packages -->
    <!-- run by tests/clients/test_docs.py -->
    <!-- body of POST /v1/chat/completions -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DOCUMENTS", "REASONS", "ROOT", "Block", "BlockError", "Way", "blocks", "commands", "inline_commands"]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "training" / "README.md",
    ]
)
REASONS = {
    "network": "it needs services that a test can't reach",
    "gpu": "it needs a GPU",
    "root": "it changes the machine",
    "other system": "it is for another operating system",
    "time": "it takes more than minutes",
}
_WAYS = {
    "python": "script",
    "console": "session",
    "sh": "session",
    "bash": "session",
    "yaml": "settings",
    "toml": "settings",
    "text": "output",
}
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[\w+-]*)(?P<rest>[^`\n]*)$")
_SIGN = re.compile(r"<!-- (not run: (?P<reason>[^:]+): .+|run by (?P<test>\S+)|body of (?P<route>[A-Z]+ \S+)) -->")


class BlockError(ValueError):
    """A block that nobody can run."""


@dataclass(frozen=True)
class Way:
    """What is done with a block: ``script``, ``session``, ``settings``, ``output``, ``file``, ``body``, ``elsewhere``, ``nothing``."""

    kind: str
    what: str = ""
    """The reason, the test, or the route."""


@dataclass(frozen=True)
class Block:
    document: Path
    line: int
    language: str
    text: str
    title: str = ""
    sign: str = ""
    """The comment before it."""
    after: Block | None = field(default=None, repr=False)
    """The block that it follows at once, with nothing but an empty line between them."""

    def __str__(self) -> str:
        known = self.document.is_relative_to(ROOT)
        return f"{self.document.relative_to(ROOT) if known else self.document.name}:{self.line}"

    @property
    def way(self) -> Way:
        """Raises :class:`BlockError` for a block that this module knows nothing to do with."""
        if self.sign:
            return self._told()
        if self.title:
            return Way("file", self.title)
        kind = _WAYS.get(self.language)
        if kind is None:
            raise BlockError(f"{self}: no test runs {self.language or 'a block without a language'}; see {__name__}.")
        if kind == "output" and (self.after is None or self.after.way.kind != "script"):
            raise BlockError(f"{self}: output of nothing: a script comes before it.")
        return Way(kind)

    def _told(self) -> Way:
        found = _SIGN.fullmatch(self.sign)
        if found is None:
            raise BlockError(f"{self}: {self.sign} is not understood; see {__name__}.")
        if found["test"]:
            return Way("elsewhere", found["test"])
        if found["route"]:
            return Way("body", found["route"])
        if found["reason"] not in REASONS:
            raise BlockError(f"{self}: {found['reason']!r} is no reason not to run it; there are {', '.join(REASONS)}.")
        return Way("nothing", found["reason"])


def blocks(document: Path) -> Iterator[Block]:
    lines = document.read_text("utf-8").splitlines()
    number, last, end = 0, None, -1
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            number += 1
            continue
        begin, number = number, number + 1
        while number < len(lines) and lines[number].strip() != opened["fence"]:
            number += 1
        if number == len(lines):
            raise BlockError(f"{document.name}:{begin + 1}: the block is never closed.")
        body = [line.removeprefix(opened["indent"]) for line in lines[begin + 1 : number]]
        title = re.search(r'title="([^"]+)"', opened["rest"])
        before = lines[begin - 1].strip() if begin else ""
        adjoins = last is not None and not any(line.strip() for line in lines[end + 1 : begin])
        last = Block(
            document, begin + 1, opened["language"], "\n".join(body) + "\n",
            title=title[1] if title else "",
            sign=before if before.startswith("<!-- ") and _is_sign(before) else "",
            after=last if adjoins else None,
        )  # fmt: skip
        yield last
        end, number = number, number + 1


def _is_sign(comment: str) -> bool:
    """Whether a comment speaks of a block: pages have others, which mark what a script writes."""
    return comment.startswith(("<!-- not run", "<!-- run by", "<!-- body of"))


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Each command of a session, with the lines it is shown to print; in a script (``sh``) each line is one, and prints what it likes."""
    prompt = "$ " if block.language == "console" else ""
    found: list[tuple[str, list[str]]] = []
    goes_on = False
    for line in block.text.splitlines():
        if goes_on:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif line.startswith(prompt) and (prompt or (line.strip() and not line.startswith("#"))):
            found.append((line.removeprefix(prompt), []))
        elif prompt and found:
            found[-1][1].append(line)
        elif prompt:
            raise BlockError(f"{block}: output before the first command.")
        goes_on = line.endswith("\\") and not (found and found[-1][1])
    return found


def inline_commands(document: Path) -> list[str]:
    """Commands of ours that the text mentions."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(found.split()) for found in re.findall(r"`(parlant-local [a-z][^`]*)`", text)]
