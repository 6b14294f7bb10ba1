"""A commit's subject names the module and says what changed. A commit-msg hook: ``commit_subject.py FILE``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONGEST = 120
RULE = f'Write "Module: what changed" (up to {LONGEST} characters, no full stop), as "Switching: an attempt is a context of its own".'
_NAMED = re.compile(r"[A-Za-z][\w ./,-]{1,40}: \S.*[^.\s]")
_MADE_BY_GIT = ("Merge", "Revert", "fixup!", "squash!")


def complaint(subject: str) -> str | None:
    if subject.startswith(_MADE_BY_GIT) or (len(subject) <= LONGEST and _NAMED.fullmatch(subject)):
        return None
    return f"{subject!r}: {RULE}"


if __name__ == "__main__":
    sys.exit(complaint(Path(sys.argv[1]).read_text(encoding="utf-8").partition("\n")[0]))
