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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-parlant32"
PYTHON = HOME / "bin" / "python"
LINE = "parlant>=3.2,<3.3"
ENGINE = "llama-cpp-python"
TESTS = ["tests/nlp", "tests/switching"]
TARGET = ROOT / "docs" / "evidence" / "parlant-3.2.md"


def main() -> None:
    uv = [sys.executable, "-m", "uv", "--no-progress"]
    if not PYTHON.exists():
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(HOME)], check=True)
    # uv keeps wheels that it built: llama.cpp is not compiled a second time on this machine.
    install = [
        *uv,
        "pip",
        "install",
        "--quiet",
        "-p",
        str(PYTHON),
        "--no-binary",
        ENGINE,
        "--group",
        f"{ROOT}/pyproject.toml:dev",
    ]
    subprocess.run([*install, *engine_packages(), LINE, "-e", f"{ROOT}[all]"], check=True)

    command = [str(PYTHON), "-m", "pytest", "-q", "-m", "not evidence", *(sys.argv[1:] or TESTS)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    sys.stdout.write(done.stdout)
    if not sys.argv[1:]:
        TARGET.write_text(report(done.stdout.strip().splitlines()[-1], done.stdout))
    sys.exit(done.returncode)


def engine_packages() -> list[str]:
    """The native ones as in requirements.lock. Parlant's older line pins some of its own, so the rest is resolved anew."""
    pinned = (line.split()[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    return [line for line in pinned if line.startswith((f"{ENGINE}==", "llguidance=="))]


def report(outcome: str, output: str) -> str:
    """The page that is kept: what ran, on what, and what was not passed."""
    version = (
        "from importlib.metadata import version as v; print(v('parlant'), 'with parlant-client', v('parlant-client'))"
    )
    installed = subprocess.run([str(PYTHON), "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    others = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR", "SKIPPED", "XFAIL"))]
    listed = "\n".join(f"- `{line}`" for line in others) or "- nothing"
    return f"""# Parlant's older line

`make parlant32` runs `{" ".join(TESTS)}` on the newest Parlant 3.2; `make test` runs them on the newest 3.3.

| | |
|---|---|
| date | {time.strftime("%Y-%m-%d")} |
| machine | {os.cpu_count()} cores ({platform.machine()}), no GPU used; Python {platform.python_version()} |
| Parlant | {installed} |
| outcome | {outcome.strip("= ")} |

Not passed:

{listed}
"""


if __name__ == "__main__":
    main()
