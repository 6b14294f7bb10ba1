"""The host's side tested on another Parlant than the newest release, in an environment of its own.

Runs inside .venv; ``python .ci/other_parlant.py 3.2 [pytest arguments]`` for the newest release of that line, or with the path of
Parlant's sources. Without pytest's arguments, what came of it is written to docs/evidence/parlant-….md.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from environments import DEV, ENGINE, ROOT, install, locked, make, versions

TESTS = ["tests/nlp", "tests/agent", "tests/journeys", "tests/switching", "tests/evaluation"]
OVERRIDES = ROOT / ".venv-parlant-develop" / "overrides.txt"


@dataclass(frozen=True)
class Line:
    """A Parlant to test on: its name in file names, how it is told of, and what to install."""

    name: str
    title: str
    told: str
    wanted: tuple[str, ...]


def released(line: str) -> Line:
    after = f"{line.partition('.')[0]}.{int(line.partition('.')[2]) + 1}"
    command = f"`make parlant{line.replace('.', '')}`"
    return Line(line, "Parlant's older line", f"{command}: the newest Parlant {line}", (f"parlant>={line},<{after}",))


def from_sources(folder: Path) -> Line:
    if not (folder / "src" / "parlant").is_dir():
        sys.exit(f"{folder} has no sources of Parlant: no src/parlant. Set PARLANT to a checkout of emcie-co/parlant.")
    commit = subprocess.run(
        ["git", "-C", str(folder), "log", "-1", "--format=%h of %as"], capture_output=True, text=True
    )
    told = f"`make parlant-develop PARLANT=…`: Parlant's sources, commit {commit.stdout.strip() or 'unknown'}"
    # The sources name their client by a git address; a released one answers the same.
    wanted = ("--overrides", str(OVERRIDES), "--editable", str(folder))
    return Line("develop", "Parlant's next line", told, wanted)


def main() -> None:
    if len(sys.argv) < 2 or not sys.argv[1]:
        sys.exit("Which Parlant? make parlant-develop PARLANT=/path/to/sources")
    asked, arguments = sys.argv[1], sys.argv[2:]
    line = released(asked) if asked.replace(".", "").isdigit() else from_sources(Path(asked).resolve())
    python = environment(line)
    command = [str(python), "-m", "pytest", "-q", "-m", "not evidence", *(arguments or TESTS)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(done.stdout)
    if not arguments:
        target = ROOT / "docs" / "evidence" / f"parlant-{line.name}.md"
        target.write_text(report(line, versions(python, ["parlant", "parlant-client"]), done.stdout), "utf-8")
    sys.exit(done.returncode)


def environment(line: Line) -> Path:
    """Its interpreter. One that is there is kept where ``KEEP`` is set."""
    home = ROOT / f".venv-parlant-{line.name}"
    if os.environ.get("KEEP") and (home / "bin" / "python").exists():
        return home / "bin" / "python"
    python = make(home, sys.executable)
    OVERRIDES.parent.mkdir(exist_ok=True)
    OVERRIDES.write_text("\n".join(locked(["parlant-client"])), "utf-8")
    # The native ones as in requirements.lock. Another Parlant pins some of its own, so the rest is resolved anew.
    install(python, *DEV, *locked([ENGINE, "llguidance"]), *line.wanted, "--editable", f"{ROOT}[all]")
    return python


def report(line: Line, installed: str, output: str) -> str:
    """The page that is kept: what ran, on what, and what was not passed."""
    others = [each for each in output.splitlines() if each.startswith(("FAILED", "ERROR", "SKIPPED", "XFAIL"))]
    listed = "\n".join(f"- `{each}`" for each in others) or "- nothing"
    return f"""# {line.title}

{line.told}. Run are `{" ".join(TESTS)}`; `make test` runs them on the newest 3.3.

| | |
|---|---|
| date | {time.strftime("%Y-%m-%d")} |
| machine | {os.cpu_count()} cores ({platform.machine()}), no GPU used; Python {platform.python_version()} |
| Parlant | {installed} |
| outcome | {output.strip().splitlines()[-1].strip("= ")} |

Not passed:

{listed}
"""


if __name__ == "__main__":
    main()
