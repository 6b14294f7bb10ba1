"""Install what requirements.lock names into this environment, saying which part is long and that it moves.

Runs inside the environment that it fills. llama.cpp is compiled for this machine's own processor, unless wheels/ has it; everything
else comes as wheels.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
ENGINE = "llama-cpp-python"


def main() -> None:
    # Named, since UV_PYTHON (which setup-uv sets) would have another environment filled.
    install = [sys.executable, "-m", "uv", "--no-progress", "pip", "install", "--quiet", "--python", sys.executable]
    wanted = locked_version(ENGINE)
    if kept := next((ROOT / "wheels").glob(f"llama_cpp_python-{wanted}-*.whl"), None):
        subprocess.run([*install, "--no-deps", str(kept)], check=True)
    elif installed_version(ENGINE) != wanted:
        need_tools()
        run_slowly(
            f"Building {ENGINE} {wanted} for this processor (5-10 minutes on two cores)",
            [*install, "--no-binary", ENGINE, f"{ENGINE}=={wanted}"],
        )
    print("Installing the other packages …", flush=True)
    subprocess.run([*install, "--require-hashes", "-r", str(LOCK)], check=True)
    subprocess.run([*install, "--no-deps", "--editable", str(ROOT)], check=True)
    print("Ready.", flush=True)


def locked_version(name: str) -> str:
    for line in LOCK.read_text().splitlines():
        if line.startswith(f"{name}=="):
            return line.split("==")[1].split()[0].rstrip(" \\;")
    sys.exit(f"{LOCK.name} does not name {name}; run `make lock`.")


def installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def need_tools() -> None:
    from shutil import which

    missing = [what for what, names in (("a C++ compiler", ("c++", "g++", "clang++")),) if not any(map(which, names))]
    if missing:
        sys.exit(f"Building llama.cpp needs {' and '.join(missing)}: on Debian, `apt-get install build-essential`.")


def run_slowly(what: str, command: list[str]) -> None:
    """Runs a silent command with a sign of life every 15 seconds; its output only if it fails."""
    print(f"{what} …", flush=True)
    begun = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(15):
            print(f"  … {time.monotonic() - begun:4.0f} s", flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    result = subprocess.run(command, capture_output=True, text=True)
    done.set()
    ticker.join()
    if result.returncode:
        sys.stderr.write(result.stdout[-4000:] + result.stderr[-8000:])
        sys.exit(f"{what} failed after {time.monotonic() - begun:.0f} s; its last output stands above.")
    print(f"  done in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
