"""Build the distributions, look into them, install the wheel where no checkout is, and use it there.

Runs inside .venv: ``python .ci/wheel.py [--python 3.12] [--built]``. ``--built`` takes what is in dist/ already.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from environments import ROOT, UV, install, make

DIST = ROOT / "dist"
PARTS = ("py.typed", "_version.py", "models/parlant-local-tiny.gguf", "server/page/index.html")
LIMIT_MB = 16
COMPILER = re.compile(r"(cc|c99|c89|cpp|g\+\+|c\+\+|clang.*|gcc.*|cmake|ninja|make)(-[\d.]+)?$")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--python", default=sys.executable, help="the interpreter that gets the wheel")
    arguments.add_argument("--built", action="store_true", help="take what is in dist/")
    asked = arguments.parse_args()
    if not asked.built:
        shutil.rmtree(DIST, ignore_errors=True)
        subprocess.run([*UV, "build", "--quiet", "--out-dir", str(DIST), str(ROOT)], check=True)
    (wheel,) = DIST.glob("*.whl")
    (sdist,) = DIST.glob("*.tar.gz")
    look_into(wheel, sdist)
    with tempfile.TemporaryDirectory(prefix="parlant-local-wheel-") as folder:
        use(wheel, asked.python, Path(folder))


def look_into(wheel: Path, sdist: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = [part for part in PARTS if f"parlant_local/{part}" not in names]
    strangers = sorted(
        {name.split("/")[0] for name in names} - {"parlant_local", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    )
    size = wheel.stat().st_size / 1e6
    if missing or strangers or size > LIMIT_MB:
        sys.exit(f"{wheel.name}: missing {missing}, strangers {strangers}, {size:.1f} MB (at most {LIMIT_MB})")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    if absent := tracked() - inside:
        sys.exit(f"{sdist.name}: missing {sorted(absent)}")
    print(
        f"{wheel.name}: {len(names)} files, {size:.1f} MB; {sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB",
        flush=True,
    )


def tracked() -> set[str]:
    """What a source distribution has to have: whoever unpacks it can do all that a clone can."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout
    return {name.decode() for name in listed.split(b"\0") if name} or {"Makefile", "requirements.lock", "tests/support"}


def use(wheel: Path, interpreter: str, folder: Path) -> None:
    """The base install first, then llama.cpp's wheel, then every extra: what each promises has to work with what it brings.

    No compiler may be needed: none is found, except by the interpreter's own means.
    """
    python = make(folder / "venv", interpreter)
    os.environ.update(PATH=without_compilers(folder / "tools"), CC="no-compiler", CXX="no-compiler")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PARLANT"))}
    environment["PARLANT_LOCAL_HOME"] = str(folder / "home")
    for extra in ("", "binary", "all"):
        install(python, f"parlant-local{f'[{extra}]' if extra else ''} @ {wheel.as_uri()}")
        command = [str(python), str(ROOT / ".ci" / "smoke.py"), extra or "base"]
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=600)


def without_compilers(folder: Path) -> str:
    """A PATH of links to what this one finds, but for compilers and build tools."""
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for tool in place.iterdir() if place.is_dir() else ():
            link = folder / tool.name
            if not COMPILER.search(tool.name) and not link.is_symlink():
                link.symlink_to(tool)
    return str(folder)


if __name__ == "__main__":
    main()
