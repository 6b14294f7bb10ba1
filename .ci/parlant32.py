"""The host's side tested on the newest release of an older Parlant line, in an environment of its own.

Runs inside .venv; ``python .ci/parlant32.py [pytest arguments]``. Without arguments, what came of it is written to
docs/evidence/parlant-3.2.md.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time

from environments import DEV, ENGINE, ROOT, install, locked, make, versions

LINE = "parlant>=3.2,<3.3"
TESTS = ["tests/nlp", "tests/agent", "tests/journeys", "tests/switching"]
TARGET = ROOT / "docs" / "evidence" / "parlant-3.2.md"


def main() -> None:
    python = make(ROOT / ".venv-parlant32", sys.executable)
    # The native ones as in requirements.lock. Parlant's older line pins some of its own, so the rest is resolved anew.
    install(python, *DEV, *locked([ENGINE, "llguidance"]), LINE, "--editable", f"{ROOT}[all]")

    command = [str(python), "-m", "pytest", "-q", "-m", "not evidence", *(sys.argv[1:] or TESTS)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(done.stdout)
    if not sys.argv[1:]:
        TARGET.write_text(report(versions(python, ["parlant", "parlant-client"]), done.stdout))
    sys.exit(done.returncode)


def report(installed: str, output: str) -> str:
    """The page that is kept: what ran, on what, and what was not passed."""
    others = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR", "SKIPPED", "XFAIL"))]
    listed = "\n".join(f"- `{line}`" for line in others) or "- nothing"
    return f"""# Parlant's older line

`make parlant32` runs `{" ".join(TESTS)}` on the newest Parlant 3.2; `make test` runs them on the newest 3.3.

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
