"""``python -m benchmarks.routing [--save]``: the simulation, and its page."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.routing.measured import EVIDENCE
from benchmarks.routing.page import checks, write

PAGE = EVIDENCE / "routing.md"
MARK = "## Against what was measured\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--save", action="store_true", help="write docs/evidence/routing.md; some minutes")
    parser.add_argument("--measured", action="store_true", help="only its comparison with measurements, in seconds")
    arguments = parser.parse_args()
    if arguments.measured:
        before, _, after = PAGE.read_text("utf-8").partition(MARK)
        PAGE.write_text(f"{before}{checks()}\n##{after.partition(f'{chr(10)}##')[2]}", "utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / PAGE.name
        write(draft, arguments.replicas, arguments.sessions, lambda line: print(line, file=sys.stderr, flush=True))
        text = draft.read_text("utf-8")
    if arguments.save:
        PAGE.write_text(text, "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
