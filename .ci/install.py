"""Install what requirements.lock names into this environment: ``python .ci/install.py [native]``.

Runs inside the environment that it fills. Everything comes as wheels, llama.cpp too; ``native`` adds what is compiled here (unless wheels/
has it), which the tests and benchmarks run on, and says that it takes long and moves: llama.cpp for this machine's own processor, and
stable-diffusion.cpp, of which there are no wheels.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
ENGINE = "llama-cpp-python"
PICTURES = "stable-diffusion-cpp-python"
COMPILED = {
    ENGINE: f"Building {ENGINE} for this processor (5-10 minutes on two cores)",
    PICTURES: f"Building {PICTURES} (3-6 minutes on two cores)",
}


def main() -> None:
    # Named, since UV_PYTHON (which setup-uv sets) would have another environment filled.
    install = [sys.executable, "-m", "uv", "--no-progress", "pip", "install", "--quiet", "--python", sys.executable]
    if sys.argv[1:] == ["native"]:
        install_native(install)
    else:
        install_wheels(install)
    print("Ready. For models of your own: .venv/bin/parlant-local setup", flush=True)


def install_wheels(install: list[str]) -> None:
    print("Installing the packages …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "requirements.txt"
        # On Windows the engine's is the only build that works, and has a wheel.
        apart = COMPILED if sys.platform != "win32" else {PICTURES}
        wheels.write_text(without(apart, LOCK.read_text()))
        subprocess.run([*install, "--require-hashes", "-r", str(wheels)], check=True)
    subprocess.run([*install, "--no-deps", "--editable", str(ROOT)], check=True)


def without(packages: Iterable[str], lock: str) -> str:
    """A lock without some packages: their lines, and the hashes that follow them."""
    starts = tuple(f"{package}==" for package in packages)
    kept, inside = [], False
    for line in lock.splitlines():
        if not line.startswith(" "):
            inside = line.startswith(starts)
        if not inside:
            kept.append(line)
    return "\n".join(kept) + "\n"


def install_native(install: list[str]) -> None:
    for package, what in COMPILED.items():
        wanted = locked_version(package)
        if kept := next((ROOT / "wheels").glob(f"{package.replace('-', '_')}-{wanted}-*.whl"), None):
            subprocess.run([*install, "--no-deps", str(kept)], check=True)
        elif installed_version(package) != wanted:
            need_tools()
            run_slowly(what, [*install, "--no-deps", "--no-binary", package, f"{package}=={wanted}"])
    subprocess.run([*install, "--require-hashes", "-r", str(LOCK)], check=True)


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
        sys.exit(
            f"Compiling it needs {' and '.join(missing)} (on Debian, `apt-get install build-essential`); "
            "`make setup` without NATIVE=1 needs none."
        )


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
