"""The package where Python has no more than on Windows: every module imports, and a short life runs to its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIFE = Path(__file__).with_name("life.py")
HIDING = Path(__file__).parents[1] / "support" / "without_posix.py"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(
            (),
            id="as this system is",
            marks=pytest.mark.skipif(sys.platform == "linux", reason="all other tests are that"),
        ),
        pytest.param(("--without-posix",), id="without POSIX"),
    ],
)
def test_a_short_life_of_the_whole_package(tmp_path: Path, how: tuple[str, ...]) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "warn_default_encoding",
            "-W",
            "ignore::EncodingWarning",
            str(LIFE),
            str(tmp_path),
            *how,
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("served, and stopped"), done.stdout
    assert "Traceback" not in done.stderr, done.stderr[-4000:]


@pytest.mark.parametrize(
    "line",
    [
        "import fcntl",
        "from resource import setrlimit",
        "import os; os.pwrite",
        "from os import statvfs",
        "import signal; signal.setitimer",
        "import socket as s; s.AF_UNIX",
        "import pwd as users",
    ],
)
def test_what_is_hidden_is_not_found_by_the_package(tmp_path: Path, line: str) -> None:
    """Else the life above would prove nothing."""
    package = tmp_path / "parlant_local"
    package.mkdir()
    (package / "__init__.py").write_text(line, "utf-8")
    code = f"import sys; sys.path[:0] = [{str(HIDING.parent)!r}, {str(tmp_path)!r}]\nimport without_posix\n"
    code += "without_posix.install()\nimport parlant_local"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(("ModuleNotFoundError", "AttributeError", "ImportError"))
