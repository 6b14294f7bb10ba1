"""llama.cpp for the card that is here, as the package llama_cpp in a folder of its own, beside the packed wheels."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from benchmarks.gpu.machine import architectures, cards
from benchmarks.gpu.pack import PACK, SOURCE, pinned

__all__ = ["SITE", "build", "configuration", "install"]

SITE = PACK / "site"
"""Where Python finds what is installed here."""
_SOURCE = PACK / "source"
_BUILT = PACK / "built"


def install() -> str:
    """The packed wheels, by the pip that is here."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-index",
        "--no-deps",
    ]
    wheels = sorted(str(wheel) for wheel in (PACK / "wheels").glob("*.whl"))
    subprocess.run([*command, "--upgrade", "--target", str(SITE), *wheels], check=True)
    return f"{len(wheels)} wheels, Python {sys.version.split()[0]}"


def build() -> str:
    """Compiles and installs; the architecture that it is for."""
    _SOURCE.mkdir(exist_ok=True)
    with tarfile.open(PACK / "llama-cpp-python.tar.xz") as archive:
        archive.extractall(_SOURCE, filter="data")
    wanted = architectures(cards())
    ninja = shutil.which("ninja") is not None
    subprocess.run(configuration(_SOURCE / "vendor" / "llama.cpp", _BUILT, wanted, ninja=ninja), check=True)
    subprocess.run(["cmake", "--build", str(_BUILT), "--target", "llama", "--parallel"], check=True)
    shutil.copytree(_SOURCE / "llama_cpp", SITE / "llama_cpp", dirs_exist_ok=True)
    libraries = SITE / "llama_cpp" / "lib"
    libraries.mkdir(exist_ok=True)
    for library in (_BUILT / "bin").glob("lib*.so*"):
        shutil.copy2(library, libraries / library.name, follow_symlinks=False)  # links as links
    name, _, version = pinned([SOURCE])[0].partition("==")
    about = SITE / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    return f"{name} {version} for {wanted}"


def configuration(source: Path, built: Path, wanted: str, *, ninja: bool) -> list[str]:
    """CMake's command: the libraries alone, for the cards' architectures and this processor."""
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CUDA_ARCHITECTURES": wanted,
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
        "BUILD_SHARED_LIBS": "ON",
        "GGML_CUDA": "ON",
        "GGML_CCACHE": "OFF",
        **{f"LLAMA_BUILD_{part}": "OFF" for part in ("COMMON", "TESTS", "TOOLS", "EXAMPLES", "SERVER", "APP", "MTMD")},
        "LLAMA_OPENSSL": "OFF",
    }
    generator = ["-G", "Ninja"] if ninja else []
    return [
        "cmake",
        "-S",
        str(source),
        "-B",
        str(built),
        *generator,
        *(f"-D{name}={value}" for name, value in options.items()),
    ]
