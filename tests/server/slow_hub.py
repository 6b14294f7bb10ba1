"""The catalogue tests' stand-in for the hub, with one model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_FAKES = Path(__file__).parent.parent / "catalog" / "fakes"
SLOWLY = {"PARLANT_LOCAL_DOWNLOADS__MAX_RATE_MB": "0.2"}
"""Environment with which the model takes twenty seconds."""


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
    return importlib.import_module("catalog_fakes.hub")


class SlowHub:
    """``someone/slow-GGUF`` has the shipped model's bytes."""

    def __init__(self) -> None:
        import parlant_local

        hub = _fakes()
        tiny = Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf"
        self._server = hub.FakeHub(with_cdn=False)
        self._server.add("someone/slow-GGUF", {"slow.Q8_0.gguf": tiny})
        self.url: str = self._server.url

    def __enter__(self) -> SlowHub:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)
