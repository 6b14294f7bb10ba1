"""Which build of llama.cpp is called, and what happens where it is not the one that is known."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

from parlant_local.engine.loading import LoadControl
from parlant_local.engine.native import builds, checking, library, selftest
from parlant_local.engine.native.builds import BUILDS, find
from parlant_local.engine.native.devices import devices, gpus
from parlant_local.engine.native.functions import signatures
from parlant_local.engine.native.llama import Library, find_wanted
from parlant_local.engine.vetting import soundness, verdicts
from parlant_local.engine.vetting.process import Outcome
from parlant_local.errors import ConfigurationError
from parlant_local.observability import NullLogger

NATIVE, BINARY = BUILDS


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The packages that seem to be installed, with their versions."""
    versions: dict[str, str] = {}

    def version(package: str) -> str:
        if package not in versions:
            raise metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(builds.metadata, "version", version)
    return versions


def test_without_any_build_the_error_names_both_ways(installed: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find()
    assert "llama-cpp-python 0.3.36 and xllamacpp 2026.10.11549" in caught.value.message
    assert 'pip install "parlant-local[binary]"' in str(caught.value.hint)
    assert "native" in str(caught.value.hint)


@pytest.mark.parametrize("version", ["0.3.35", "0.3.37", "0.4.0"])
def test_an_unknown_release_is_refused_by_name(installed: dict[str, str], version: str) -> None:
    installed["llama-cpp-python"] = version
    with pytest.raises(
        ConfigurationError, match=f"llama-cpp-python {version}.*supported are llama-cpp-python 0.3.36 and"
    ):
        find()


def test_a_builders_suffix_is_no_other_release(installed: dict[str, str]) -> None:
    installed["llama-cpp-python"] = "0.3.36+cu124"
    assert find().build is NATIVE


def test_the_compiled_build_comes_first_and_either_can_be_named(installed: dict[str, str]) -> None:
    installed.update({each.package: each.version for each in BUILDS})
    assert find().build is NATIVE
    assert find("binary").build is BINARY
    assert find("native").build is NATIVE


def test_the_wheel_serves_where_it_is_alone_or_the_other_is_unknown(installed: dict[str, str]) -> None:
    installed["xllamacpp"] = BINARY.version
    assert find().build is BINARY
    installed["llama-cpp-python"] = "0.9.0"
    assert find().build is BINARY
    with pytest.raises(ConfigurationError, match=r"llama-cpp-python 0.9.0"):
        find("native")


def test_the_environment_chooses_where_no_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLANT_LOCAL_ENGINE__LIBRARY", "binary")
    assert find_wanted().build is BINARY
    assert find_wanted("native").build is NATIVE


def test_a_process_has_one_library() -> None:
    other = {"native": "binary", "binary": "native"}[library().build.flavour]
    assert library(library().build.flavour) is library()
    with pytest.raises(ConfigurationError, match="needs a process of its own"):
        library(other)  # type: ignore[arg-type]  # a flavour


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.flavour)
def test_both_builds_pass_all_checks_and_the_self_test(build: builds.Build) -> None:
    """In a process of its own: two libraries in one would share their C++ types."""
    code = "from parlant_local.engine.native import library, selftest; print(library().build, selftest.self_test(library()))"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PARLANT_LOCAL_ENGINE__LIBRARY": build.flavour, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.stdout.strip() == f"{build} None", told.stderr


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="sizes are seen on x86-64")
@pytest.mark.parametrize(
    "more", [[("moe_cache_size", ctypes.c_size_t)], [("a", ctypes.c_int32), ("b", ctypes.c_int64)]]
)
def test_a_field_too_many_is_noticed(more: list[tuple[str, type]]) -> None:
    build = library().build
    wrong = type("Wrong", (ctypes.Structure,), {"_fields_": [*build.context_params._fields_, *more]})
    _look_like(wrong, "writes")


def test_a_field_that_moved_is_noticed_by_its_default() -> None:
    build = library().build
    fields = list(build.context_params._fields_)
    names = [name for name, *_ in fields]
    one, other = names.index("n_batch"), names.index("n_ubatch")
    fields[one], fields[other] = fields[other], fields[one]
    _look_like(type("Wrong", (ctypes.Structure,), {"_fields_": fields}), "n_batch is 512, not 2048")


def _look_like(context_params: type[ctypes.Structure], message: str) -> None:
    found = find_wanted()
    wrong = dataclasses.replace(found, build=dataclasses.replace(found.build, context_params=context_params))
    with pytest.raises(ConfigurationError, match=message):
        Library(wrong)


def test_a_missing_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from parlant_local.engine.native import llama

    def more(context_params: type[ctypes.Structure]) -> dict[str, object]:
        return {**signatures(context_params), "llama_make_coffee": (None, [])}

    monkeypatch.setattr(llama, "signatures", more)
    with pytest.raises(ConfigurationError, match=r"lacks llama_make_coffee"):
        Library(find_wanted())


def test_a_file_that_is_no_library_is_a_typed_error(tmp_path: Path) -> None:
    file = tmp_path / "libllama.so"
    file.write_bytes(b"no library")
    with pytest.raises(ConfigurationError, match="can't be loaded"):
        Library(dataclasses.replace(find_wanted(), files=(file,)))


def test_every_default_that_is_checked_is_a_field() -> None:
    assert checking._CONTEXT_DEFAULTS.keys() <= {name for name, *_ in BINARY.context_params._fields_}
    assert checking._MODEL_DEFAULTS.keys() <= {name for name, *_ in checking.ModelParams._fields_}


def test_wrong_logits_fail_the_self_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = json.loads(selftest.expected_file().read_text())
    values["a restored state"][0][1] -= 1.0
    file = tmp_path / "selftest.json"
    file.write_text(json.dumps(values))
    monkeypatch.setattr(selftest, "expected_file", lambda: file)
    assert "after a restored state" in str(selftest.self_test(library()))


def test_the_processor_is_listed_with_its_memory() -> None:
    found = devices()
    assert [device.kind for device in found].count("cpu") == 1
    assert all(0 < device.free <= device.total for device in found)
    assert all(device.kind != "cpu" for device in gpus())


class TestSoundness:
    @pytest.fixture(autouse=True)
    def trials(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The trials that ran; :attr:`outcome` is what they found, None for a real one."""
        self.outcome: Outcome | None = None
        begun: list[str] = []
        real = soundness.run_trial

        def run(spec: Mapping[str, object], control: LoadControl) -> Outcome:
            begun.append(str(spec["library"]))
            return self.outcome or real(spec, control)

        monkeypatch.setattr(soundness, "run_trial", run)
        monkeypatch.setattr(soundness, "_sound", set())
        monkeypatch.setattr(verdicts, "_in_memory", {})
        return begun

    def _ensure(self, file: Path | None) -> None:
        soundness.ensure_sound("auto", file, LoadControl("test"), NullLogger())

    def test_a_library_is_tried_once(self, trials: list[str], tmp_path: Path) -> None:
        for _ in range(3):
            self._ensure(tmp_path / "vetted.json")
        assert len(trials) == 1
        soundness._sound.clear()  # as in another process
        self._ensure(tmp_path / "vetted.json")
        assert len(trials) == 1
        soundness._sound.clear()
        self._ensure(None)
        assert len(trials) == 2

    @pytest.mark.parametrize(
        ("outcome", "words"),
        [
            (Outcome("ended", "it was ended by SIGILL (nothing was logged)"), "SIGILL"),
            (Outcome("died", "SIGSEGV: nothing was logged"), "SIGSEGV"),
            (Outcome("refused", "the logit of token 5 after the prompt is nan, not 1.0"), "logit of token 5"),
        ],
    )
    def test_an_unsound_library_is_refused_with_the_way_out(
        self, trials: list[str], tmp_path: Path, outcome: Outcome, words: str
    ) -> None:
        self.outcome = outcome
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=words) as caught:
                self._ensure(tmp_path / "vetted.json")
            assert "engine.library=" in str(caught.value.hint)
        assert len(trials) == 2, "a verdict against a library isn't kept: it may be reinstalled"
        self.outcome = None
        self._ensure(tmp_path / "vetted.json")

    def test_a_library_that_cannot_be_loaded_says_why_itself(self, tmp_path: Path) -> None:
        self.outcome = Outcome(
            "refused", "The llama.cpp of it can't be loaded: libgomp.so.1", hint="apt-get install libgomp1"
        )
        with pytest.raises(ConfigurationError, match=r"^The llama.cpp of it can't be loaded: libgomp") as caught:
            self._ensure(tmp_path / "vetted.json")
        assert caught.value.hint == "apt-get install libgomp1"
