"""Prompts that ask a model to fill in what stands between two texts, by the tokens its vocabulary has for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from parlant_local.engine.vocabulary import Vocabulary
from parlant_local.errors import BadRequestError

__all__ = ["FilledPrompt", "OtherText", "fill_prompt"]

_PREFIX_PARTS, _PARTS = 3, 4  # of the room, where not all fits


@dataclass(frozen=True, slots=True)
class OtherText:
    """A piece of another file, for context."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class FilledPrompt:
    tokens: tuple[int, ...]
    truncated: bool
    """Whether something was left out to fit."""


def fill_prompt(
    vocabulary: Vocabulary,
    prefix: str,
    suffix: str,
    *,
    begun: str = "",
    others: Sequence[OtherText] = (),
    room: int | None = None,
) -> FilledPrompt:
    """``begun``: what is written between them already. ``room``: most tokens; what is furthest from the gap is left out. None: all stays.

    Raises :class:`BadRequestError` where the vocabulary has no such tokens.
    """
    marks = vocabulary.fill_marks
    if marks is None:
        raise BadRequestError(
            f"{vocabulary.path.name} can't fill in: its vocabulary has no tokens for it (fim_pre, fim_suf and fim_mid of "
            "tokenizer.ggml).",
            hint="Use a code model that was trained to, such as Qwen2.5-Coder.",
        )
    first = [vocabulary.bos] if vocabulary.add_bos and vocabulary.bos >= 0 else []
    written, after, middle = (vocabulary.tokenize(text) for text in (prefix, suffix, begun))
    around = _others(vocabulary, others)
    whole = len(written) + len(after) + len(around)
    if room is not None:
        left = max(0, room - len(first) - len(middle) - len(marks))
        written, after = _nearest(written, after, left)
        around = _last(around, left - len(written) - len(after))
    cut = len(written) + len(after) + len(around) < whole
    tokens = [*first, *around, marks.before, *written, *middle, marks.after, *after, marks.middle]
    return FilledPrompt(tuple(tokens), cut)


def _nearest(before: list[int], after: list[int], room: int) -> tuple[list[int], list[int]]:
    """What stands next to the gap: three quarters before it, unless one side needs less."""
    most_before = max(room * _PREFIX_PARTS // _PARTS, room - len(after))
    before = _last(before, most_before)
    return before, after[: room - len(before)]


def _last(tokens: list[int], count: int) -> list[int]:
    return tokens[max(0, len(tokens) - max(0, count)) :]


def _others(vocabulary: Vocabulary, others: Sequence[OtherText]) -> list[int]:
    """As the models were shown repositories: each file after its name; this one last."""
    marks = vocabulary.fill_marks
    if not others or marks is None:
        return []
    if marks.file is None:
        pieces = (vocabulary.tokenize(f"\n\n--- {other.name} ---\n\n{other.text}") for other in others)
        return [*chain.from_iterable(pieces), *vocabulary.tokenize("\n\n")]
    start = [] if marks.repository is None else [marks.repository, *vocabulary.tokenize("repository\n")]
    files = ([marks.file, *vocabulary.tokenize(f"{other.name}\n{other.text}")] for other in others)
    return [*start, *chain.from_iterable(files), marks.file, *vocabulary.tokenize("file\n")]
