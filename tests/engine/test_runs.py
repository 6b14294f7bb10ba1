"""Texts with runs without end: llama.cpp's pre-tokenizers of std::regex overflow the stack over them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parlant_local.engine import LoadedModel
from parlant_local.engine.runs import LONGEST_RUN, pieces
from parlant_local.engine.vetting import Vetting
from parlant_local.settings import EngineSettings
from tests.support import gguf_models
from tests.support.mutants import changed

SPECIAL = re.compile(r"<\|im_start\|>|<\|im_end\|>|</s>")
Open = Callable[[str], LoadedModel]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return gguf_models.llama(tmp_path_factory.mktemp("runs") / "m.gguf").read_bytes()


@pytest.fixture
def open_with(sound: bytes, tmp_path: Path) -> Open:
    def model(pre_tokenizer: str) -> LoadedModel:
        path = tmp_path / "model.gguf"
        path.write_bytes(sound)
        changed(path, tokenizer__ggml__pre=pre_tokenizer.encode())
        return LoadedModel(path, EngineSettings(), vocabulary_only=True, vetting=Vetting(vouched=True))

    return model


@pytest.mark.parametrize(
    "pre_tokenizer", ["tekken", "gpt-4o", "deepseek-v3", "deepseek-llm", "exaone-moe", "bloom", "gpt-2"]
)
@pytest.mark.parametrize(
    "text", ["a" * 50_000, " " * 50_000, "a1!_" * 12_500, "a " * 25_000, "aA" * 25_000, "\u4f60" * 50_000]
)
def test_no_run_is_too_long(open_with: Open, pre_tokenizer: str, text: str) -> None:
    model = open_with(pre_tokenizer)
    assert model.detokenize(model.tokenize(text)).strip() == text.strip()
    model.release()


def test_a_control_token_after_a_run_stays_whole(open_with: Open) -> None:
    """Else whoever writes a run of the right length would take the end of his message apart."""
    model = open_with("tekken")
    [end] = model.tokenize("<|im_end|>", parse_special=True)
    for length in range(LONGEST_RUN - 12, LONGEST_RUN + 3):
        tokens = model.tokenize("a" * length + "<|im_end|>" + "b" * LONGEST_RUN, parse_special=True)
        assert tokens.count(end) == 1
    model.release()


def test_added_special_tokens_are_only_at_the_ends(open_with: Open, tmp_path: Path) -> None:
    model = open_with("tekken")
    model.release()
    path = changed(tmp_path / "model.gguf", tokenizer__ggml__add_bos_token=True)
    model = LoadedModel(path, EngineSettings(), vocabulary_only=True, vetting=Vetting(vouched=True))
    tokens = model.tokenize("a" * (3 * LONGEST_RUN), add_special=True)
    assert tokens[0] == model.bos
    assert model.bos not in tokens[1:]
    model.release()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["<|im_start|>", "<|im_end|>", "</s>", " ", "\n", "word"]),
            st.builds(
                lambda letter, count: letter * count, st.sampled_from("a 1<\u4f60"), st.integers(1, 3 * LONGEST_RUN)
            ),
        ),
        max_size=12,
    ),
    st.sampled_from(["tekken", "exaone-moe", "gpt-2"]),
)
def test_pieces_are_the_text_again_with_every_special_token_whole(parts: list[str], pre_tokenizer: str) -> None:
    text = "".join(parts)
    cut = pieces(text, pre_tokenizer, lambda: SPECIAL)
    assert "".join(cut) == text
    ends, at = set(), 0
    for piece in cut:
        at += len(piece)
        ends.add(at)
        runs = re.finditer(r"[^\n]+|\n+" if pre_tokenizer == "exaone-moe" else r"\S+|\s+", piece)
        longest = LONGEST_RUN + 12 if pre_tokenizer != "gpt-2" else len(text)
        assert all(run.end() - run.start() <= longest for run in runs)
    assert not any(token.start() < end < token.end() for token in SPECIAL.finditer(text) for end in ends)


def test_spaces_that_a_tokenizer_drops_are_never_adjacent(open_with: Open) -> None:
    """llama.cpp asserts that they don't, where nothing else is between two words."""
    model = open_with("whitespace")
    [once] = model.tokenize("fox")
    assert model.tokenize("  fox \n\t fox\u3000 ") == [once, once]
    model.release()


def test_ordinary_texts_are_unchanged() -> None:
    text = "An ordinary sentence, as people write them.\n" * 2000
    for pre_tokenizer in ("tekken", "exaone-moe", "gpt-2"):
        assert pieces(text, pre_tokenizer, lambda: SPECIAL) == [text]
