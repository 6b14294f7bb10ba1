"""The tests with the oldest direct dependencies that pyproject.toml allows, in an environment of its own.

Runs inside .venv: ``python .ci/lowest.py [pytest arguments]``. Only what users install is old; the tests' own tools are as locked.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from environments import ROOT, UV, install, locked, make, versions

TESTS = [
    "tests/settings",
    "tests/storage",
    "tests/backends",
    "tests/switching",
    "tests/engine/test_pool.py",
    "tests/server/test_openai_client.py",
    "tests/nlp/test_service.py",
]
SHOWN = [
    "openai",
    "ollama",
    "httpx2",
    "pydantic",
    "fastapi",
    "starlette",
    "uvicorn",
    "huggingface_hub",
    "numpy",
    "parlant",
]


def main() -> None:
    python = make(ROOT / ".venv-lowest", sys.executable)
    install(python, "--resolution", "lowest-direct", "--editable", f"{ROOT}[all,native]")
    install(python, "--group", f"{ROOT}/pyproject.toml:tests", "--constraints", str(kept(python)))
    print(versions(python, SHOWN), flush=True)
    # anyio's plugin, which nothing here uses, warns in old releases.
    command = [str(python), "-m", "pytest", "-q", "-p", "no:anyio", "-m", "not evidence", *(sys.argv[1:] or TESTS)]
    sys.exit(subprocess.run(command, cwd=ROOT).returncode)


def kept(python: Path) -> Path:
    """What is installed stays; the runner is the locked one, since plugins warn in newer ones, and warnings are errors."""
    frozen = subprocess.run([*UV, "pip", "freeze", "--python", str(python)], capture_output=True, text=True, check=True)
    old = [line for line in frozen.stdout.splitlines() if "==" in line]
    target = ROOT / ".venv-lowest" / "constraints.txt"
    target.write_text("\n".join([*old, *locked(["pytest", "pytest-asyncio", "pytest-timeout"])]))
    return target


if __name__ == "__main__":
    main()
