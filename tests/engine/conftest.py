"""Models made on the spot, engines that prove on closing that nothing leaked, and a plain run to compare with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf import PoolingType

from parlant_local.engine import LlamaEngine
from parlant_local.observability import NullLogger
from parlant_local.settings import EngineSettings, PrefixSettings
from tests.support import gguf_models
from tests.support.eventually import eventually

from .reference import PlainRun

MODELS = Path(__file__).parents[2] / "src" / "parlant_local" / "models"
TINY = MODELS / "parlant-local-tiny.gguf"

_MAKERS: dict[str, Callable[[Path], Path]] = {
    "llama": lambda path: gguf_models.llama(path, seed=1, tied=False),
    "qwen2": lambda path: gguf_models.qwen2(path, seed=2, tied=False),
    "qwen3": lambda path: gguf_models.qwen3(path, seed=3, tied=False),
    "deepseek2": lambda path: gguf_models.deepseek2(path, seed=4),
    "mamba": lambda path: gguf_models.mamba(path, seed=5, tied=False),
    "gemma3": lambda path: gguf_models.gemma3(path, seed=9),
    "lfm2": lambda path: gguf_models.lfm2(path, seed=10),
    "bert": lambda path: gguf_models.bert(path, seed=6),
    "bert-cls": lambda path: gguf_models.bert(path, seed=6, pooling=PoolingType.CLS),
    "reranker": lambda path: gguf_models.bert(path, seed=7, pooling=PoolingType.RANK),
    # Large enough that a prefill of a few thousand tokens takes seconds.
    "slow": lambda path: gguf_models.llama(
        path, seed=8, width=512, layers=8, heads=8, kv_heads=4, feed_forward=1536, n_ctx=16384
    ),
}

GENERATING = ["llama", "qwen2", "qwen3", "deepseek2", "mamba", "gemma3", "lfm2"]
"""Every kind of memory: plain attention, latent attention with experts, recurrent, sliding window, hybrid."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of a model by name; made once a session, ``tiny`` is the shipped one."""
    folder = tmp_path_factory.mktemp("models")

    def path_of(name: str) -> Path:
        if name == "tiny":
            return TINY
        path = folder / f"{name}.gguf"
        return path if path.exists() else _MAKERS[name](path)

    return path_of


@pytest.fixture(scope="session")
def promised() -> dict[str, Any]:
    """Questions that the shipped model is known to answer."""
    return json.loads((MODELS / "parlant-local-tiny.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def plain(made: Callable[[str], Path]) -> Iterator[Callable[..., PlainRun]]:
    """Single-sequence runs that know nothing of the engine; one per model."""
    runs: dict[str, PlainRun] = {}

    def of(name: str) -> PlainRun:
        if name not in runs:
            runs[name] = PlainRun(made(name), n_ctx=4096)
        return runs[name]

    yield of
    for run in runs.values():
        run.close()


def settings_of(**values: Any) -> EngineSettings:
    values.setdefault("n_ctx", 2048)
    values.setdefault("n_threads", 1)  # on a busy machine the barriers of a second thread cost more than it gives
    prefixes = {key.removeprefix("prefix_"): values.pop(key) for key in list(values) if key.startswith("prefix_")}
    prefixes.setdefault("memory_mb", 64)
    prefixes.setdefault("min_tokens", 16)
    return EngineSettings(**values, prefixes=PrefixSettings(**prefixes))


MakeEngine = Callable[..., LlamaEngine]


@pytest.fixture
async def engine_of(made: Callable[[str], Path]) -> AsyncIterator[MakeEngine]:
    """Makes engines, and sees at the end that each gave everything back."""
    engines: list[LlamaEngine] = []

    def make(
        name: str | Path = "llama",
        *,
        prefix_dir: Path | None = None,
        output_dir: Path | None = None,
        logger: Any = None,
        **values: Any,
    ) -> LlamaEngine:
        engine = LlamaEngine(
            made(name) if isinstance(name, str) else name,
            settings=settings_of(**values),
            prefix_dir=prefix_dir,
            output_dir=output_dir,
            logger=logger or NullLogger(),
        )
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        if engine.loaded:
            await settled(engine)
        await engine.close()


async def settled(engine: LlamaEngine) -> None:
    """Waits until nothing runs, then has the engine prove that no sequence, cell or request is left."""
    await eventually(lambda: not (stats := engine.stats()).running and not stats.waiting, engine.stats)
    await engine.check_integrity()
    assert engine.stats().cells_used == 0
