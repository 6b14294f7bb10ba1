"""The tests with the oldest direct dependencies that pyproject.toml allows, in an environment of its own.

Runs inside .venv: ``python .ci/lowest.py [pytest arguments]``. Only what users install is old; the tests' own tools are as locked.
"""

from __future__ import annotations

import subprocess
import sys

from environments import DEV, ROOT, install, make, versions

TESTS = ["tests/settings", "tests/storage", "tests/backends", "tests/switching", "tests/pool", "tests/server/test_openai_client.py", "tests/nlp/test_service.py"]
SHOWN = ["openai", "ollama", "httpx2", "pydantic", "fastapi", "starlette", "uvicorn", "huggingface_hub", "numpy", "parlant"]


def main() -> None:
    python = make(ROOT / ".venv-lowest", sys.executable)
    install(python, "--resolution", "lowest-direct", "--editable", f"{ROOT}[all]")
    install(python, *DEV)
    print(versions(python, SHOWN), flush=True)
    command = [str(python), "-m", "pytest", "-q", "-m", "not evidence", *(sys.argv[1:] or TESTS)]
    sys.exit(subprocess.run(command, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
