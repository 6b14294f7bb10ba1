"""Prompts that ask for what stands between two texts, by the vocabulary's own tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parlant_local.engine import LoadedModel
from parlant_local.engine.filling import OtherText, fill_prompt
from parlant_local.errors import BadRequestError
from parlant_local.settings import EngineSettings
from tests.support import gguf_models

Made = Callable[[int], LoadedModel]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The vocabulary of a model with so many tokens for filling in."""
    folder = tmp_path_factory.mktemp("filling")
    models: dict[int, LoadedModel] = {}

    def model(fills: int) -> LoadedModel:
        if fills not in models:
            path = gguf_models.llama(folder / f"fills{fills}.gguf", fills=fills)
            models[fills] = LoadedModel(path, EngineSettings(), vocabulary_only=True)
        return models[fills]

    yield model
    for item in models.values():
        item.release()


def text_of(model: LoadedModel, tokens: tuple[int, ...]) -> str:
    return model.detokenize(tokens, special=True)


def test_the_vocabularys_own_tokens_stand_around_the_texts(made: Made) -> None:
    model = made(5)
    prompt = fill_prompt(model, "def f():\n", "\nf()\n", begun="    ret")
    assert text_of(model, prompt.tokens) == "<fill pre>def f():\n    ret<fill suf>\nf()\n<fill mid>"
    assert not prompt.truncated


def test_other_files_come_first_as_a_repository(made: Made) -> None:
    others = [OtherText("a.py", "x = 1\n"), OtherText("b.py", "y = 2\n")]
    told = {
        fills: text_of(made(fills), fill_prompt(made(fills), "p", "s", others=others).tokens) for fills in (3, 4, 5)
    }
    assert told[5] == (
        "<fill rep>repository\n<fill sep>a.py\nx = 1\n<fill sep>b.py\ny = 2\n<fill sep>file\n<fill pre>p<fill suf>s<fill mid>"
    )
    plain = "\n\n--- a.py ---\n\nx = 1\n\n\n--- b.py ---\n\ny = 2\n\n\n<fill pre>p<fill suf>s<fill mid>"
    assert told[3] == told[4] == plain


def test_a_text_that_spells_such_a_token_is_text(made: Made) -> None:
    model = made(5)
    prompt = fill_prompt(model, "<fill mid>", "<fill pre>", others=[OtherText("<fill sep>", "<fill rep>")])
    marks = model.fill_marks
    assert marks is not None
    counts = [
        prompt.tokens.count(token) for token in (marks.before, marks.after, marks.middle, marks.repository, marks.file)
    ]
    assert counts == [1, 1, 1, 1, 2]


def test_a_vocabulary_without_them_is_refused_and_says_what_it_needs(made: Made) -> None:
    for fills in (0, 2):
        with pytest.raises(BadRequestError, match="fim_pre, fim_suf and fim_mid"):
            fill_prompt(made(fills), "a", "b")


def test_the_bundled_model_has_none() -> None:
    import parlant_local

    path = Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf"
    model = LoadedModel(path, EngineSettings(), vocabulary_only=True)
    try:
        assert model.fill_marks is None
    finally:
        model.release()


LETTERS = st.text("abc xyz\n", max_size=60)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LETTERS, LETTERS, LETTERS, st.lists(LETTERS, max_size=3), st.integers(0, 160))
def test_what_is_furthest_from_the_gap_is_left_out_first(
    made: Made, prefix: str, suffix: str, begun: str, texts: list[str], room: int
) -> None:
    model = made(5)
    others = [OtherText(f"{number}", text) for number, text in enumerate(texts)]
    whole = fill_prompt(model, prefix, suffix, begun=begun, others=others)
    cut = fill_prompt(model, prefix, suffix, begun=begun, others=others, room=room)
    marks = model.fill_marks
    assert marks is not None
    assert len(cut.tokens) <= max(room, len(model.tokenize(begun)) + 5)
    assert cut.truncated == (len(cut.tokens) < len(whole.tokens))
    assert cut.truncated or cut.tokens == whole.tokens

    def split(tokens: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        first, second = tokens.index(marks.before), tokens.index(marks.after)
        return tokens[:first], tokens[first + 1 : second], tokens[second + 1 : -1]

    (around, written, after), (all_around, all_written, all_after) = split(cut.tokens), split(whole.tokens)
    assert all_around[len(all_around) - len(around) :] == around
    assert all_written[len(all_written) - len(written) :] == written
    assert all_after[: len(after)] == after
    if written != all_written or after != all_after:
        assert not around  # other files go before this one's own text
