"""The builds of llama.cpp that this package speaks to, and where each has its library.

A build is a release of a Python package: its structures are known for exactly that one, since llama.cpp's change at any time.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from parlant_local.engine.native.structs import ContextParams, context_params_with
from parlant_local.errors import ConfigurationError

__all__ = ["BUILDS", "Build", "Flavour", "Found", "find", "library_file"]

Flavour = Literal["auto", "native", "binary"]


@dataclass(frozen=True, slots=True)
class Build:
    """A release whose library this package can call."""

    package: str
    version: str
    flavour: Literal["native", "binary"]
    """``native``: compiled for this machine's processor; ``binary``: comes as a wheel. Each is an extra of that name."""
    module: str
    libraries: tuple[str, ...]
    """Library names or files within the module's folder; the first one is llama.cpp's own."""
    context_params: type[ctypes.Structure]
    media: str | None = None
    """The library with mtmd, where it is not in the first one; opened when a projector is loaded."""
    max_sequences: int = 256
    """``LLAMA_MAX_SEQ``."""

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


BUILDS = (
    Build(
        package="llama-cpp-python",
        version="0.3.36",
        flavour="native",
        module="llama_cpp",
        libraries=("lib/llama", "lib/ggml", "lib/ggml-base"),
        context_params=ContextParams,
        media="lib/mtmd",
    ),
    Build(
        package="xllamacpp",
        version="2026.10.11549",
        flavour="binary",
        module="xllamacpp",
        libraries=("xllamacpp",),  # one extension module with everything in it
        context_params=context_params_with(before_abort=[("moe_cache_size", ctypes.c_size_t)]),
    ),
)


@dataclass(frozen=True, slots=True)
class Found:
    """An installed build."""

    build: Build
    files: tuple[Path, ...]
    """The first one is llama.cpp's own."""


def find(flavour: Flavour = "auto") -> Found:
    """The installed build of ``flavour``; ``auto`` prefers the one that was compiled for this processor.

    Raises :class:`ConfigurationError` where none is installed, or only a release whose structures are not known here.
    """
    unknown: list[str] = []
    for build in BUILDS:
        if flavour not in ("auto", build.flavour):
            continue
        installed = _installed_version(build)
        if installed is None:
            continue
        if installed != build.version:
            unknown.append(f"{build.package} {installed}")
            continue
        if files := _files(build):
            return Found(build, files)
        unknown.append(f"{build} without its library")
    supported = " and ".join(map(str, BUILDS))
    if unknown:
        raise ConfigurationError(
            f"Can't call llama.cpp through {' or '.join(unknown)}: supported are {supported}.",
            hint=f"`{_install_command(flavour)}` installs one of them.",
        )
    what = {"auto": "No build of llama.cpp", "native": str(BUILDS[0]), "binary": str(BUILDS[1])}[flavour]
    raise ConfigurationError(
        f"{what} is installed; models run in this process need one ({supported}).",
        hint=f"`{_install_command(flavour)}` installs one of them"
        + ("; the extra `native` compiles one for this processor." if flavour == "auto" else "."),
    )


def _install_command(flavour: Flavour) -> str:
    return f'pip install "parlant-local[{"binary" if flavour == "auto" else flavour}]"'


def _installed_version(build: Build) -> str | None:
    """Without what a builder appends to it (``0.3.36+cu124``)."""
    try:
        return metadata.version(build.package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _files(build: Build) -> tuple[Path, ...]:
    spec = importlib.util.find_spec(build.module)
    if spec is None or not spec.submodule_search_locations:
        return ()
    found = []
    for name in build.libraries:
        if (file := library_file(build, name)) is not None:
            found.append(file)
        elif name == build.libraries[0]:
            return ()
    return tuple(found)


def library_file(build: Build, name: str) -> Path | None:
    """The file of a library of an installed build."""
    spec = importlib.util.find_spec(build.module)
    assert spec is not None
    folder = Path(next(iter(spec.submodule_search_locations or ())))
    own = os.environ.get("LLAMA_CPP_LIB_PATH") if build.flavour == "native" else None  # as llama-cpp-python has it
    place = Path(own) / Path(name).name if own else folder / name
    return next((file for file in _candidates(place) if file.is_file()), None)


def _candidates(place: Path) -> Sequence[Path]:
    """The file names that a library has on this system."""
    folder, name = place.parent, place.name
    if sys.platform == "win32":
        names = [f"{name}.dll", f"lib{name}.dll", f"{name}.pyd"]
    elif sys.platform == "darwin":
        names = [f"lib{name}.dylib", f"lib{name}.so", f"{name}.abi3.so"]
    else:
        names = [f"lib{name}.so", f"{name}.abi3.so"]
    return [folder / each for each in names]
