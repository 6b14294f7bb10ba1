"""Throw-away environments beside .venv. Where llama.cpp is compiled, that happens once for all of them; the wheel is kept in wheels/."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINE = "llama-cpp-python"
WHEELS = ROOT / "wheels"
UV = [sys.executable, "-m", "uv", "--no-progress"]
DEV = ["--group", f"{ROOT}/pyproject.toml:dev"]


def make(home: Path, python: str) -> Path:
    """A fresh environment at ``home``; its interpreter."""
    subprocess.run(
        [*UV, "venv", "--quiet", "--clear", "--no-managed-python", "--python", python, str(home)], check=True
    )
    windows = home / "Scripts" / "python.exe"
    return windows if windows.exists() else home / "bin" / "python"


def install(python: Path, *wanted: str) -> None:
    compiled = any("[all,native]" in each or ENGINE in each for each in wanted)
    found = ["--find-links", str(engine_wheels())] if compiled else []
    command = [*UV, "pip", "install", "--quiet", "--python", str(python), *found, *wanted]
    subprocess.run(command, check=True)


def engine_wheels() -> Path:
    """The folder with the wheel of llama.cpp that requirements.lock names; it is built if it isn't there."""
    (engine,) = locked([ENGINE])
    if not list(WHEELS.glob(f"{engine.replace('-', '_').replace('==', '-')}-*.whl")):
        build = ["wheel", "--quiet", "--no-deps", "--no-binary", ENGINE, "--wheel-dir", str(WHEELS), engine]
        print(f"Building {engine}: 5-10 minutes on two cores …", flush=True)
        subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    return WHEELS


def locked(names: Sequence[str]) -> list[str]:
    """These packages as requirements.lock has them."""
    pinned = (line.split()[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line)
    return [line for line in pinned if line.split("==")[0] in names]


def versions(python: Path, names: Sequence[str]) -> str:
    code = (
        "import sys; from importlib.metadata import version as v; print(', '.join(f'{n} {v(n)}' for n in sys.argv[1:]))"
    )
    return subprocess.run([str(python), "-c", code, *names], capture_output=True, text=True, check=True).stdout.strip()
