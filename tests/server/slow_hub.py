"""The catalogue tests' stand-in for the hub, with one large model that comes slowly."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_FAKES = Path(__file__).parent.parent / "catalog" / "fakes"
RATE = 300_000
"""Bytes per second."""


def _fakes() -> Any:
    if "catalog_fakes" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "catalog_fakes", _FAKES / "__init__.py", submodule_search_locations=[str(_FAKES)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["catalog_fakes"] = package
        spec.loader.exec_module(package)
    return importlib.import_module("catalog_fakes.hub"), importlib.import_module("catalog_fakes.loopback")


class SlowHub:
    """``someone/slow-GGUF`` has the shipped model's bytes; at this rate they take twenty seconds."""

    def __init__(self, rate: float | None = RATE) -> None:
        import parlant_local

        hub, loopback = _fakes()
        tiny = Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf"
        self._server = hub.FakeHub(with_cdn=False)
        self._server.add("someone/slow-GGUF", {"slow.Q8_0.gguf": tiny})
        if rate is not None:
            self._server.faults.append(loopback.Fault(rate=rate))
        self.url: str = self._server.url

    def __enter__(self) -> SlowHub:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)
