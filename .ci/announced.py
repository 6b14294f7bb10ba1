"""A tag that may be published: the package's version, with a dated section in CHANGELOG.md. ``announced.py v1.2.3``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    tag = sys.argv[1]
    source = (ROOT / "src" / "parlant_local" / "_version.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', source)
    if version is None or tag != f"v{version[1]}":
        sys.exit(f"The tag {tag} is not v{version and version[1]} of _version.py.")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version[1])}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        sys.exit(f"CHANGELOG.md has no section '## [{version[1]}] - YYYY-MM-DD'.")
    print(f"{tag} is announced.")


if __name__ == "__main__":
    main()
