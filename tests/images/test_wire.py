"""Answers of any shape are read without a surprise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.images.png import texts_of, with_text
from parlant_local.images.sd_wire import Capabilities, Job, told_by
from tests.fakes.images import PNG
from tests.support.sd_server import SdServer

NAMES = st.sampled_from(
    ["id", "status", "queue_position", "result", "error", "images", "b64_json", "model", "stem", "limits", "max_width", "defaults",
     "defaults_by_mode", "features", "img_gen", "supported_modes", "samplers", "width", "code", "message"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["queued", "job_1", "completed"])
)
VALUES = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=6), max_leaves=20
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_answers_of_any_shape(data: Any) -> None:
    Capabilities.of(data)
    if (job := Job.of(data)) is not None:
        assert job.queued >= 0
        assert all(isinstance(picture, str) for picture in job.pictures)


@pytest.mark.parametrize("earlier", [False, True])
def test_what_a_server_can_do(earlier: bool) -> None:
    known = Capabilities.of(SdServer(earlier=earlier)._capabilities())
    assert known is not None
    assert (known.model, known.makes_pictures, known.edits, known.width, known.limits["max_batch_count"]) == (
        "sd15",
        True,
        True,
        512,
        8,
    )


@pytest.mark.parametrize("name", ["../models", "a/b", "a?b", "", "x" * 200, "a\n", "é"])
def test_a_jobs_name_is_part_of_an_address(name: str) -> None:
    assert Job.of({"id": name, "status": "queued"}) is None


@given(st.text(max_size=60), st.integers(0, 2**31), st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_what_a_picture_tells_of_itself(prompt: str, seed: int, noise: bytes) -> None:
    text = f"{prompt}\nSteps: 4, CFG scale: 1.500000, Seed: {seed}, Sampler: euler discrete, SDCPP: {{}}"
    told = told_by(with_text(PNG.replace(b"parameters", b"elsewhere!"), "parameters", text))
    assert (told.steps, told.guidance, told.seed, told.sampler) == (4, 1.5, seed, "euler")
    texts_of(PNG[:50] + noise + PNG[50:])
    told_by(b"\x89PNG\r\n\x1a\n" + noise)


def test_absurd_figures_are_not_told() -> None:
    told = told_by(with_text(PNG, "parameters", f"x\nSteps: {10**15}, Seed: {10**19}, Sampler: NONE"))
    assert (told.seed, told.steps, told.sampler) == (None, None, None)
