"""Bounds of what may be asked for: each names its setting, and a value on the bound passes."""

from __future__ import annotations

import math

import pytest

from parlant_local.errors import BadRequestError
from parlant_local.images import ImageRequest
from parlant_local.images.limits import bounded
from parlant_local.settings import ImageSettings

LIMITS = ImageSettings(
    max_megapixels=0.01,
    max_side=200,
    max_steps=5,
    max_count=2,
    max_prompt_characters=10,
    max_sources=1,
    max_source_mb=0.001,
)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ImageRequest(""), "prompt is empty"),
        (ImageRequest(" \n"), "prompt is empty"),
        (ImageRequest("x" * 11), r"prompt has 11 characters; the limit is 10 \(images\.max_prompt_characters\)"),
        (ImageRequest("x", negative_prompt="x" * 11), r"negative prompt has 11 .*images\.max_prompt_characters"),
        (ImageRequest("x", width=201, height=20), r"images\.max_side"),
        (ImageRequest("x", width=101, height=100), r"images\.max_megapixels"),
        (ImageRequest("x", width=0, height=64), "too small"),
        (ImageRequest("x", width=-5), "too small"),
        (ImageRequest("x", width=10**30), r"images\.max_side"),
        (ImageRequest("x", steps=0), r"between 1 and 5 \(images\.max_steps\)"),
        (ImageRequest("x", steps=6), r"images\.max_steps"),
        (ImageRequest("x", count=0), r"images\.max_count"),
        (ImageRequest("x", count=3), r"images\.max_count"),
        (ImageRequest("x", guidance=-0.1), "guidance"),
        (ImageRequest("x", guidance=math.nan), "guidance"),
        (ImageRequest("x", guidance=math.inf), "guidance"),
        (ImageRequest("x", seed=-1), "seed"),
        (ImageRequest("x", seed=2**63), "seed"),
        (ImageRequest("x", seed=2**63 - 1, count=2), "seed"),
        (ImageRequest("x", strength=0.5), "need a picture"),
        (ImageRequest("x", mask=b"m"), "need a picture"),
        (ImageRequest("x", sources=(b"p",), strength=1.01), "strength"),
        (ImageRequest("x", sources=(b"p", b"q")), r"images\.max_sources"),
        (ImageRequest("x", sources=(b"p" * 1001,)), r"images\.max_source_mb"),
        (ImageRequest("x", sources=(b"p",), mask=b"p" * 1001), r"images\.max_source_mb"),
    ],
)
def test_what_exceeds_a_limit(request_: ImageRequest, said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        bounded(request_, LIMITS)


@pytest.mark.parametrize(
    "request_",
    [
        ImageRequest("x" * 10, negative_prompt="x" * 10),
        ImageRequest("x", width=100, height=100),
        ImageRequest("x", width=200, height=16),
        ImageRequest("x", steps=5, count=2, guidance=0.0, seed=2**63 - 2),
        ImageRequest("x", sources=(b"p" * 1000,), mask=b"p" * 1000, strength=1.0),
        ImageRequest("x", sources=(b"p",), strength=0.0),
    ],
)
def test_what_is_on_a_limit(request_: ImageRequest) -> None:
    assert bounded(request_, LIMITS) == request_


def test_defaults() -> None:
    settings = ImageSettings(steps=9, guidance=2.0, width=256)
    asked = bounded(ImageRequest("x"), settings)
    assert (asked.steps, asked.guidance, asked.width, asked.height) == (9, 2.0, 256, 256)
    own = bounded(ImageRequest("x", steps=1, guidance=0.0, height=64), settings)
    assert (own.steps, own.guidance, own.width, own.height) == (1, 0.0, 64, 64)
    edit = bounded(ImageRequest("x", sources=(b"p",)), settings)
    assert (edit.width, edit.height) == (None, None)  # its source's
    fixed = bounded(ImageRequest("x"), settings, defaults=False)
    assert (fixed.steps, fixed.guidance, fixed.width) == (None, None, 256)


def test_text_that_is_none() -> None:
    assert bounded(ImageRequest("a \ud800 cat"), LIMITS).prompt == "a \ufffd cat"
