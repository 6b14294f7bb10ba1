"""``show`` names the adapters that fit a model, and those that the settings add to every model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import gguf_models
from tests.support.adapters import make_adapter
from tests.support.at_home import Verb


def test_adapters_that_fit_are_named(verb: Verb, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = gguf_models.llama(tmp_path / "base.gguf", seed=1, tied=False)
    (home / "adapters").mkdir()
    make_adapter(home / "adapters" / "polite.gguf", base, 31)
    make_adapter(home / "adapters" / "foreign.gguf", base, 32, architecture="qwen2")
    (home / "adapters" / "broken.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv(
        "PARLANT_LOCAL_ADAPTERS", json.dumps({"brief": {"path": str(home / "adapters" / "polite.gguf"), "scale": 0.5}})
    )
    monkeypatch.setenv("PARLANT_LOCAL_ENGINE__LORA", json.dumps({"/tunes/house.gguf": 0.75}))

    code, told, _ = verb("show", str(base), "--json")

    assert code == 0
    added = json.loads(told)["adapters"]
    assert [name.rpartition(":")[2] for name in added] == [
        "/tunes/house.gguf@0.75 (engine.lora)",
        "polite@1",
        "brief@0.5",
    ]
    assert "polite@1" in verb("show", str(base))[1]
