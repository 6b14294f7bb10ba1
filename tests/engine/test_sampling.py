"""Samplers beside llama.cpp's own."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from parlant_local.engine.native import library
from parlant_local.engine.sampling import Sampler, Sampling


class _TokenData(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("logit", ctypes.c_float), ("p", ctypes.c_float)]


class _TokenDataArray(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.POINTER(_TokenData)),
        ("size", ctypes.c_size_t),
        ("selected", ctypes.c_int64),
        ("sorted", ctypes.c_bool),
    ]


def _kept_natively(logits: np.ndarray[tuple[int], np.dtype[np.float32]], n: float) -> set[int]:
    lib = library()
    data = (_TokenData * logits.size)(*((token, float(logit), 0.0) for token, logit in enumerate(logits)))
    tokens = _TokenDataArray(data=data, size=logits.size, selected=-1, sorted=False)
    sampler = lib.function("llama_sampler_init_top_n_sigma", ctypes.c_void_p, [ctypes.c_float])(n)
    lib.function("llama_sampler_apply", None, [ctypes.c_void_p, ctypes.POINTER(_TokenDataArray)])(sampler, tokens)
    lib.function("llama_sampler_free", None, [ctypes.c_void_p])(sampler)
    return {data[place].id for place in range(tokens.size) if data[place].logit > float("-inf")}


@pytest.mark.parametrize("n", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [0.5, 3.0])
@pytest.mark.parametrize("masked", [False, True])
def test_top_n_sigma_leaves_the_tokens_that_llama_cpp_leaves(n: float, temperature: float, masked: bool) -> None:
    dice = np.random.default_rng(3)
    logits = dice.normal(0, 2, 60).astype(np.float32)
    mask = dice.random(60) < 0.5 if masked else None
    wanted = _kept_natively(logits if mask is None else np.where(mask, logits, -np.inf).astype(np.float32), n)
    sampler = Sampler(Sampling(temperature=temperature, top_k=0, top_p=1, top_n_sigma=n), 5)
    drawn = {sampler.draw(logits, mask) for _ in range(6000)}
    assert drawn <= wanted
    likely = {token for token in wanted if logits[token] > logits[list(wanted)].max() - 5 * temperature}
    assert likely <= drawn
    assert 1 <= len(wanted) < 60


def test_zero_is_off() -> None:
    logits = np.linspace(0, 1, 20).astype(np.float32)
    sampler = Sampler(Sampling(temperature=5, top_k=0, top_p=1, top_n_sigma=0), 1)
    assert len({sampler.draw(logits, None) for _ in range(2000)}) == 20
