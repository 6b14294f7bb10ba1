"""The embedder that needs no model."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlant_local.nlp.lexical import embed_lexically


def cosine(a: str, b: str) -> float:
    return sum(x * y for x, y in zip(embed_lexically(a, 512), embed_lexically(b, 512), strict=True))


@given(st.text(max_size=200), st.sampled_from([64, 512]))
def test_any_text_gets_a_vector_of_length_one(text: str, dimensions: int) -> None:
    vector = embed_lexically(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(sum(value * value for value in vector), 1.0, rel_tol=1e-9)


@given(st.text(max_size=100))
def test_the_same_text_always_gets_the_same_vector(text: str) -> None:
    assert embed_lexically(text, 128) == embed_lexically(text, 128)


def test_vectors_stay_the_same_between_releases() -> None:
    """The host keeps vectors on disk under the class name: a moved vector needs a new LEXICAL_VERSION."""
    vector = embed_lexically("the status of my order", 64)
    found = {index: round(value, 4) for index, value in enumerate(vector) if abs(value) > 0.2}
    assert found == PINNED


PINNED: dict[int, float] = {1: -0.3146, 15: -0.3052, 23: 0.3139, 28: 0.5092, 54: 0.3139}


@pytest.mark.parametrize(
    ("query", "near", "far"),
    [
        ("what is the status of my order", "the customer asks about an order", "the customer wants to cancel a flight"),
        ("shiping cost", "Shipping costs are 5 euros", "We open at nine"),
        ("opening hours", "When are you open? OPENING HOURS", "Return an item"),
        ("日本への配送", "日本への配送料", "営業時間"),
    ],
)
def test_texts_that_share_words_or_parts_of_words_are_nearer(query: str, near: str, far: str) -> None:
    assert cosine(query, near) > cosine(query, far) + 0.1


def test_case_and_width_do_not_matter() -> None:
    assert cosine("ORDER Status", "order ｓｔａｔｕｓ") == pytest.approx(1.0)
