"""What ``doctor`` says of llama.cpp's library: which build runs, what it was built for, and what compiling one would gain here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from parlant_local.engine.native.builds import BUILDS, Flavour, find
from parlant_local.engine.native.llama import find_wanted
from parlant_local.errors import ConfigurationError

__all__ = ["describe_library"]

# As the processor calls them, and as llama.cpp does.
_FEATURES = {
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "avx_vnni": "AVX_VNNI",
    "amx_int8": "AMX_INT8",
    "i8mm": "MATMUL_INT8",
    "sve": "SVE",
    "sme": "SME",
}
# A process of its own: a build for another processor ends with an illegal instruction.
_PROGRAM = """
import dataclasses, json
from parlant_local.engine.native import library, system_info
from parlant_local.engine.native.devices import devices
from parlant_local.engine.native.selftest import self_test
lib = library()
print(json.dumps({
    "gpu_offload": lib.llama_supports_gpu_offload(),
    "features": system_info(),
    "devices": [dataclasses.asdict(device) for device in devices()],
    "difference": self_test(lib),
}))
"""
_SECONDS = 120


def describe_library(flavour: Flavour = "auto") -> dict[str, Any]:
    """``works``, and why not; the build and its file, its features and devices, and what a compiled one would add."""
    from parlant_local.catalog.disk import human_bytes

    try:
        found = find_wanted(flavour)
    except ConfigurationError as error:
        return {"works": False, "why": error.message, "install": error.hint}
    build = found.build
    what: dict[str, Any] = {
        "library": f"{build} ({'compiled for this machine' if build.flavour == 'native' else 'a wheel for any processor'})",
        "file": str(found.files[0]),
        "others": [str(other) for other in BUILDS if other is not build and _is_installed(other.flavour)],
    }
    environment = {**os.environ, "PARLANT_LOCAL_ENGINE__LIBRARY": build.flavour}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env=environment,
        )
        facts = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return what | {"works": False, "why": f"its self-test took more than {_SECONDS} s"}
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"it was ended by signal {-done.returncode}"])[-1]
        return what | {"works": False, "why": last, "install": _other(build.flavour)}
    if facts["difference"]:
        return what | {
            "works": False,
            "why": f"its self-test failed: {facts['difference']}",
            "install": _other(build.flavour),
        }
    features = _features(facts["features"])
    what |= {
        "works": True,
        "gpu_offload": facts["gpu_offload"],
        "features": features,
        "devices": [
            f"{each['name']}: {each['description']}, {human_bytes(each['free'])} free of {human_bytes(each['total'])}"
            for each in facts["devices"]
        ],
    }
    if build.flavour == "binary":
        what["compiling_gains"] = _gain(features)
    return what


def _is_installed(flavour: Flavour) -> bool:
    try:
        find(flavour)
    except ConfigurationError:
        return False
    return True


def _other(flavour: str) -> str:
    other = "native" if flavour == "binary" else "binary"
    return f'pip install "parlant-local[{other}]", and engine.library={other} where both are installed'


def _features(text: str) -> list[str]:
    """Of ``CPU : SSE3 = 1 | AVX = 1 | …``."""
    parts = (part.rpartition(":")[2].strip() for part in text.split("|"))
    return [part.removesuffix(" = 1") for part in parts if part.endswith("= 1")]


def _gain(features: list[str]) -> str:
    """What this processor has that the wheel doesn't use."""
    unused = [name for flag, name in _FEATURES.items() if flag in _processor_flags() and name not in features]
    if not unused:
        return "nothing that is known: it uses what this processor has"
    return (
        f'{", ".join(unused)}, which this processor has and the wheel doesn\'t use: pip install "parlant-local[native]"'
    )


def _processor_flags() -> frozenset[str]:
    """As Linux lists them; elsewhere nothing is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    found = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(found, []))
