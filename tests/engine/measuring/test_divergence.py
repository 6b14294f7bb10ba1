"""Divergence between two models: against numpy over the logits of another binding, and in its limits."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parlant_local.engine import LoadedModel
from parlant_local.engine.measuring.divergence import Divergence, measure_divergence
from parlant_local.engine.measuring.kept import KeptWindows
from parlant_local.engine.measuring.perplexity import Perplexity, measure_perplexity
from parlant_local.errors import BadRequestError
from parlant_local.settings import EngineSettings
from tests.support.gguf_models import llama

SETTINGS = EngineSettings(vetting="never", kv_type="f32", flash_attention="off")
TEXT = "the quick brown fox jumps over the lazy dog and the customer of the agent " * 12


def opened(path: Path) -> Iterator[LoadedModel]:
    model = LoadedModel(path, SETTINGS)
    yield model
    model.release()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedModel]:
    yield from opened(llama(tmp_path_factory.mktemp("first") / "m.gguf", tied=False))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedModel]:
    yield from opened(llama(tmp_path_factory.mktemp("second") / "m.gguf", tied=False, seed=1))


def measured(model: LoadedModel, base: LoadedModel, **more: int) -> Divergence:
    return measure_divergence(model, base, SETTINGS, model.tokenize(TEXT), n_ctx=64, **more)


def test_a_model_does_not_diverge_from_itself(first: LoadedModel) -> None:
    found = measured(first, first)
    assert found.max < 1e-9
    assert (found.same_top, found.same_top_error) == (1.0, 0.0)
    assert found.log_ratio == pytest.approx(0, abs=1e-9)
    assert found.perplexity == pytest.approx(
        measure_perplexity(first, SETTINGS, first.tokenize(TEXT), n_ctx=64).perplexity
    )


def test_figures_are_those_of_numpy_over_raw_logits(first: LoadedModel, second: LoadedModel) -> None:
    """The reference: one window at a time through llama-cpp-python's own class."""
    tokens = first.tokenize(TEXT)
    ours, theirs = (raw_logs(model.path, tokens) for model in (first, second))
    found = measured(first, second)
    divergences = (np.exp(theirs) * (theirs - ours)).sum(axis=1)
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    assert found.scored == len(divergences)
    assert found.mean == pytest.approx(divergences.mean(), rel=1e-3)
    assert found.mean_error == pytest.approx(divergences.std(ddof=1) / math.sqrt(len(divergences)), rel=1e-3)
    assert found.median == pytest.approx(np.median(divergences), rel=1e-3)
    assert found.percentile_99 == pytest.approx(np.quantile(divergences, 0.99), rel=1e-3)
    assert found.max == pytest.approx(divergences.max(), rel=1e-3)
    assert found.same_top == pytest.approx(same.mean())
    assert 0 < found.same_top_error < 0.1 or found.same_top in (0, 1)
    assert found.log_ratio == pytest.approx(math.log(found.perplexity / found.base_perplexity))


def raw_logs(path: Path, tokens: list[int]) -> np.ndarray:
    from llama_cpp import Llama

    model = Llama(str(path), n_ctx=64, n_batch=64, logits_all=True, verbose=False, type_k=0, type_v=0)
    found = []
    try:
        for start in range(0, len(tokens) // 64 * 64, 64):
            model.reset()
            model.eval(tokens[start : start + 64])
            logits = np.array(model.scores[31:63], dtype=np.float64)
            top = logits.max(axis=1, keepdims=True)
            found.append(logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True)))
    finally:
        model.close()
    return np.concatenate(found)


def test_only_as_many_windows_as_are_wanted_are_read(first: LoadedModel, second: LoadedModel) -> None:
    seen: list[tuple[int, int]] = []
    tokens = first.tokenize(TEXT)
    found = measure_divergence(
        first, second, SETTINGS, tokens, n_ctx=64, max_windows=2,
        progress=lambda done, windows, _: seen.append((done, windows)),
    )  # fmt: skip
    assert seen == [(1, 2), (2, 2)]
    assert (found.windows, found.scored) == (2, 64)


def test_other_vocabularies_can_not_be_compared(first: LoadedModel, tmp_path: Path) -> None:
    for other in (llama(tmp_path / "v.gguf", vocabulary=1100), llama(tmp_path / "p.gguf", pieces=True)):
        model = LoadedModel(other, SETTINGS)
        try:
            with pytest.raises(BadRequestError, match=r"can't be compared|different vocabularies"):
                measured(first, model)
        finally:
            model.release()


def test_an_interrupted_measurement_goes_on_where_it_was(
    first: LoadedModel, second: LoadedModel, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, _windows: int, _mean: float) -> None:
        if done == 2:
            raise StoppedError

    def figures(found: Divergence | Perplexity) -> dict[str, float]:
        return {key: value for key, value in dataclasses.asdict(found).items() if key != "seconds"}

    def divergence(kept: KeptWindows | None, **more: Any) -> Divergence:
        return measure_divergence(first, second, SETTINGS, first.tokenize(TEXT), n_ctx=64, kept=kept, **more)

    def perplexity(kept: KeptWindows | None, **more: Any) -> Perplexity:
        return measure_perplexity(first, SETTINGS, first.tokenize(TEXT), n_ctx=64, kept=kept, **more)

    measures: tuple[Callable[..., Divergence | Perplexity], ...] = (divergence, perplexity)
    for measure in measures:
        right = measure(None)
        assert right.windows > 2
        with pytest.raises(StoppedError):
            measure(KeptWindows.read(tmp_path, measure.__name__), progress=stop)
        (file,) = tmp_path.iterdir()
        file.write_text(file.read_text("utf-8") + "[3, [[0.1, 0", "utf-8")  # as a kill leaves it
        asked: list[int] = []
        again = KeptWindows.read(tmp_path, measure.__name__)
        assert sorted(again.windows) == [1, 2]
        found = measure(again, progress=partial(_note, asked))
        assert figures(found) == figures(right)
        assert asked == list(range(3, right.windows + 1))
        assert list(tmp_path.iterdir()) == []


def _note(asked: list[int], done: int, *_: object) -> None:
    asked.append(done)


def test_what_is_kept_is_of_one_measurement_and_not_for_ever(tmp_path: Path) -> None:
    kept = KeptWindows.read(tmp_path, "this")
    kept.add(1, [[0.5]])
    assert KeptWindows.read(tmp_path, "this").windows == {1: [[0.5]]}
    assert not KeptWindows.read(tmp_path, "that").windows
    (file,) = tmp_path.iterdir()
    unwritable = KeptWindows.read(file / "no folder", "this")
    unwritable.add(1, [[0.5]])
    assert unwritable.problem is not None
    os.utime(file, (0, 0))
    assert not KeptWindows.read(tmp_path, "this").windows
    assert list(tmp_path.iterdir()) == []
