"""Packages put into folders that a test can have on its path."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from uv import find_uv_bin

# Parlant reads its home once, when it is imported.


PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
FILES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))
SETTINGS = FILES.pop("settings.yaml")

Install = Callable[[Mapping[str, str]], Path]


@pytest.fixture(autouse=True)
def _nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PARLANT_LOCAL_", "HF_", "OLLAMA_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("PARLANT_LOCAL_HOME", str(tmp_path / "home"))


def install(files: Mapping[str, str], folder: Path) -> Path:
    """Builds the package that has these files, and installs it where nothing else is."""
    for name, text in files.items():
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    target = folder / "installed"
    subprocess.run(
        [
            find_uv_bin(),
            "pip",
            "install",
            "--offline",
            "--no-index",
            "--no-deps",
            "--quiet",
            "--cache-dir",
            str(folder / "cache"),
            "--target",
            str(target),
            str(folder / "source"),
        ],
        check=True,
        timeout=120,
    )
    return target


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of docs/extending.md, installed."""
    return install(FILES, tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that does everything wrong."""
    return install(
        {
            "pyproject.toml": """
[build-system]
requires = ["uv_build>=0.8,<1"]
build-backend = "uv_build"
[project]
name = "broken-things"
version = "0.1"
[project.entry-points."parlant_local.backends"]
absent = "no_such_module:Backend"
odd = "broken_things:NOT_A_BACKEND"
clumsy = "broken_things:Clumsy"
openai = "broken_things:Clumsy"
local = "broken_things:Clumsy"
"Bad Name" = "broken_things:Clumsy"
scripted = "broken_things:Clumsy"
[project.entry-points."parlant_local.sources"]
absent = "no_such_module:Source"
loose = "broken_things.sources:Loose"
clumsy = "broken_things.sources:Clumsy"
https = "broken_things.sources:Clumsy"
[project.entry-points."parlant_local.profiles"]
absent = "no_such_module:FAMILY"
wrong = "broken_things.families:FAMILY"
qwen = "broken_things.families:FAMILY"
""",
            "src/broken_things/__init__.py": """
from parlant_local.backends import Backend, ModelInfo
NOT_A_BACKEND = 3
class Clumsy(Backend):
    @classmethod
    def from_reference(cls, name, context):
        return {}[name]
    def model_info(self):
        return ModelInfo("clumsy/x")
    async def chat(self, messages, **options):
        raise NotImplementedError
""",
            "src/broken_things/sources.py": """
from parlant_local.catalog.sources import FileTask, Plan, Source
class Loose(Source):
    def plan(self, reference, context):
        path = context.models_dir.parent / "stolen.gguf"
        task = FileTask("http://127.0.0.1:9/x.gguf", path, "x")
        return Plan(reference=str(reference), name="x", source=self.name, tasks=(task,), paths=(path,))
class Clumsy(Source):
    def plan(self, reference, context):
        raise ZeroDivisionError("oh")
""",
            "src/broken_things/families.py": """
from parlant_local.profiles import Family
FAMILY = Family("wrong", type="nonsense")
""",
        },
        tmp_path_factory.mktemp("broken"),
    )
