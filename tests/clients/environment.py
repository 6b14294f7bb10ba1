""".venv-clients: made when it is first needed, and again when tests/clients/requirements.txt changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

__all__ = ["BIN", "make_environment"]

ROOT = Path(__file__).resolve().parents[2]
LOCK = Path(__file__).with_name("requirements.txt")
FOLDER = ROOT / ".venv-clients"
BIN = FOLDER / "bin"


def make_environment() -> None:
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    stamp = FOLDER / ".made-of"
    if stamp.exists() and stamp.read_text() == digest:
        return
    uv = [sys.executable, "-m", "uv", "--quiet", "--no-progress"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(FOLDER)], check=True)
    python = str(BIN / "python")
    subprocess.run([*uv, "pip", "install", "--python", python, "--require-hashes", "-r", str(LOCK)], check=True)
    stamp.write_text(digest)
