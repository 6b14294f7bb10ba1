"""What ``doctor`` says of llama.cpp's library."""

from __future__ import annotations

import pytest

from parlant_local.cli import library
from parlant_local.cli.library import describe_library
from parlant_local.engine.native.builds import BUILDS
from parlant_local.errors import ConfigurationError

BINARY = BUILDS[1]


def test_each_build_is_described_as_it_is() -> None:
    compiled, wheel = describe_library("native"), describe_library("binary")
    assert compiled["works"]
    assert wheel["works"]
    assert compiled["library"] == "llama-cpp-python 0.3.36 (compiled for this machine)"
    assert wheel["library"] == "xllamacpp 2026.10.11549 (a wheel for any processor)"
    assert compiled["others"] == [str(BINARY)]
    assert "compiling_gains" not in compiled
    assert wheel["devices"][0].startswith("CPU: ")
    assert set(wheel["features"]) & {"AVX2", "NEON"}


@pytest.mark.parametrize(
    ("flags", "gain"),
    [
        (
            "fpu avx2 avx512f avx512_bf16",
            "AVX512, AVX512_BF16, which this processor has and the wheel doesn't use: pip install",
        ),
        ("fpu avx2", "nothing that is known"),
        ("", "nothing that is known"),
    ],
)
def test_what_compiling_would_gain(monkeypatch: pytest.MonkeyPatch, flags: str, gain: str) -> None:
    monkeypatch.setattr(library, "_processor_flags", lambda: frozenset(flags.split()))
    assert describe_library("binary")["compiling_gains"].startswith(gain)


def test_without_any_library_the_way_to_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(flavour: object = "auto") -> None:
        raise ConfigurationError("No build of llama.cpp is installed.", hint='`pip install "parlant-local[binary]"`')

    monkeypatch.setattr(library, "find_wanted", nothing)
    told = describe_library()
    assert told == {
        "works": False,
        "why": "No build of llama.cpp is installed.",
        "install": '`pip install "parlant-local[binary]"`',
    }


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "it was ended by signal 4"),
        ("raise SystemExit('cannot open shared object file')", "cannot open shared object file"),
        ('print(\'{"difference": "token 7 comes first after the prompt, not 5"}\')', "token 7 comes first"),
    ],
)
def test_a_library_that_fails_is_told_with_the_other_one(
    monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    monkeypatch.setattr(library, "_PROGRAM", program)
    told = describe_library("native")
    assert not told["works"]
    assert why in told["why"]
    assert "parlant-local[binary]" in told["install"]
