"""The catalogue tests' stand-in for the hub, with one model."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from tests.fakes.hub import FakeHub


class SlowHub:
    """``someone/slow-GGUF`` has the shipped model's bytes."""

    def __init__(self) -> None:
        import parlant_local

        tiny = Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf"
        self._server = FakeHub(with_cdn=False)
        self._server.add("someone/slow-GGUF", {"slow.Q8_0.gguf": tiny})
        self.url: str = self._server.url

    def __enter__(self) -> SlowHub:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)
