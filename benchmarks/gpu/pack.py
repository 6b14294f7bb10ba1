"""``python -m benchmarks.gpu.pack``: what the machine with the card does not have, in ``.gpu/``.

llama.cpp's source and llama-cpp-python's Python part, from the release that requirements.lock names; wheels for Python 3.12; the
recorded turn of a Parlant server. With the checkout it has to stay below what can be carried there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

__all__ = ["MOST_BYTES", "PACK", "PACKAGES", "checked_size", "pinned", "wanted"]

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / ".gpu"
MOST_BYTES = 64 << 20
SOURCE = "llama-cpp-python"
PACKAGES = (
    # of the engine
    "annotated-types", "filelock", "jinja2", "llguidance", "markupsafe", "numpy", "psutil", "pydantic", "pydantic-core",
    "pydantic-settings", "python-dotenv", "pyyaml", "typing-extensions", "typing-inspection",
    # of the answers' judge
    "attrs", "jsonschema", "jsonschema-specifications", "referencing", "rpds-py",
    # of the peer, and of the models that are made there
    "diskcache", "gguf", "tqdm", "requests",
)  # fmt: skip
_KEPT = (
    "llama_cpp",
    *(f"vendor/llama.cpp/{name}" for name in ("CMakeLists.txt", "cmake", "include", "src", "ggml", "vendor")),
)
_LEFT_OUT = ("vendor/llama.cpp/vendor/cpp-httplib",)
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 4, -1)] + [
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
]


def main() -> None:
    from benchmarks.record import record

    for made in ("wheels", "site", "source", "built", "out"):  # by an earlier release, or by a check that ran here
        shutil.rmtree(PACK / made, ignore_errors=True)
    (PACK / "wheels").mkdir(parents=True)
    print(f"Fetching the wheels of {len(PACKAGES)} packages for Python 3.12 …", flush=True)
    tags = [part for platform in _PLATFORMS for part in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    fetch = [*pip, "--only-binary", ":all:", "--python-version", "3.12", *tags, "--dest", str(PACK / "wheels")]
    subprocess.run([*fetch, *pinned(PACKAGES)], check=True)
    print(f"Fetching the source of {pinned([SOURCE])[0]} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, "--no-binary", SOURCE, "--dest", folder, *pinned([SOURCE])], check=True)
        repack(next(Path(folder).glob("*.tar.gz")), PACK / "llama-cpp-python.tar.xz")
    record(PACK / "parlant.json")
    size = checked_size([*PACK.rglob("*"), *tracked()])
    print(f"{PACK.name}/ is ready: {size / 1e6:.1f} MB with the checkout, of {MOST_BYTES / 1e6:.1f}.")


def pinned(names: Iterable[str]) -> list[str]:
    """These packages as requirements.lock has them; raises :class:`ValueError` for one that it has not."""
    lock = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    versions = {line.split("==")[0].lower(): line.split()[0].rstrip(";") for line in lock if "==" in line.split(" ")[0]}
    if missing := [name for name in names if name not in versions]:
        raise ValueError(f"requirements.lock has no {', '.join(missing)}.")
    return [versions[name] for name in names]


def repack(source: Path, target: Path) -> None:
    """What is needed of a source distribution, without its outermost folder."""
    with tarfile.open(source) as archive, tarfile.open(target, "w:xz") as kept:
        for member in archive:
            name = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if member.isfile() and wanted(name):
                member.name = str(name)
                kept.addfile(member, archive.extractfile(member))


def wanted(name: PurePosixPath) -> bool:
    return any(name.is_relative_to(each) for each in _KEPT) and not any(name.is_relative_to(each) for each in _LEFT_OUT)


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name]


def checked_size(files: Iterable[Path], most: int = MOST_BYTES) -> int:
    """Their bytes; ends the program where they are more than can be carried."""
    sizes = {file: file.stat().st_size for file in files if file.is_file()}
    total = sum(sizes.values())
    if total >= most:
        largest = ", ".join(
            f"{file.name} {size / 1e6:.1f}" for file, size in sorted(sizes.items(), key=lambda item: -item[1])[:5]
        )
        sys.exit(f"{total / 1e6:.1f} MB can't be carried: {most / 1e6:.1f} is the limit. The largest: {largest}.")
    return total


if __name__ == "__main__":
    main()
