"""Samples as arrays: encoding, weights per token, and batches of similar length."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.chat import PROMPT, Piece, Sample


@dataclass(frozen=True)
class Encoded:
    """Token ids and the weight of predicting each of them."""

    ids: np.ndarray
    weights: np.ndarray
    positions: np.ndarray | None = None
    """Where something was left out; otherwise they count up."""


_READING_SHARE = 3
"""One sample in so many keeps its loss on what the model reads: the output layer is a fifth of the work."""


@dataclass(frozen=True)
class Batch:
    """Right-padded sequences: attention is causal, so padding needs no mask, only no weight."""

    stage: str
    tokens: Tensor
    targets: Tensor
    weights: Tensor
    positions: Tensor


_RUN = 3


def said_before(ids: Sequence[int]) -> np.ndarray:
    """Where a token is what followed the same few tokens earlier on."""
    followed: dict[tuple[int, ...], int] = {}
    found = np.zeros(len(ids), dtype=bool)
    for place in range(_RUN, len(ids)):
        before = tuple(ids[place - _RUN : place])
        found[place] = followed.get(before) == ids[place]
        followed[before] = ids[place]
    return found


def encode_all(
    samples: Iterable[Sample], tokenizer: Tokenizer, longest: int, count: int, again: float = 0.0, shortest: int = 0
) -> list[Encoded]:
    """Encodes `count` samples; those longer than `longest`, or shorter than ``shortest``, are left out. ``again``: the least weight of what was said before in
    the same sample, which anybody can know who looks back."""
    out = []
    for sample in samples:
        if len(out) >= count:
            break
        ids: list[int] = []
        weights: list[float] = []
        positions: list[int] = []
        next_position = 0
        for run in _runs(sample):
            next_position += _length(run[0].skipped, tokenizer)
            encoding = tokenizer.encode("".join(piece.text for piece in run))
            ends = np.cumsum([len(piece.text) for piece in run])
            starts = np.array([start for start, _ in encoding.offsets], dtype=np.int64)
            owners = np.minimum(np.searchsorted(ends, starts, side="right"), len(ends) - 1)
            weights += np.array([piece.weight for piece in run])[owners].tolist()
            ids += encoding.ids
            positions += range(next_position, next_position + len(encoding.ids))
            next_position += len(encoding.ids)
        if shortest <= len(ids) <= longest:
            kept = np.array(weights, dtype=np.float32)
            if len(out) % _READING_SHARE:
                kept[kept <= PROMPT] = 0.0
            if again:
                kept[said_before(ids)] = np.maximum(kept[said_before(ids)], again)
            gaps = positions if len(ids) < next_position else None
            out.append(Encoded(np.array(ids, dtype=np.int16), kept, None if gaps is None else np.array(gaps)))
    return out


def _runs(sample: Sample) -> Iterator[list[Piece]]:
    """What is encoded as one text: all between two gaps or cuts, or each piece alone."""
    run: list[Piece] = []
    for piece in sample.pieces:
        if run and (sample.split or piece.skipped or piece.apart):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


_lengths: dict[str, int] = {}


def _length(text: str, tokenizer: Tokenizer) -> int:
    """In tokens; the same passages are left out of many samples."""
    if not text:
        return 0
    if text not in _lengths:
        _lengths[text] = len(tokenizer.encode(text).ids)
    return _lengths[text]


def batches(
    stage: str, samples: Sequence[Encoded], tokens_per_batch: int, rng: random.Random, furthest: int
) -> Iterator[Batch]:
    """One pass over the samples in random order, in batches of similar lengths."""
    order = list(range(len(samples)))
    rng.shuffle(order)
    pool = 2048
    groups: list[list[int]] = []
    for start in range(0, len(order), pool):
        part = sorted(order[start : start + pool], key=lambda index: len(samples[index].ids))
        group: list[int] = []
        for index in part:
            if group and (len(group) + 1) * len(samples[index].ids) > tokens_per_batch:
                groups.append(group)
                group = []
            group.append(index)
        if group:
            groups.append(group)
    rng.shuffle(groups)
    for group in groups:
        yield _batch(stage, [samples[index] for index in group], rng, furthest)


def _batch(stage: str, rows: Sequence[Encoded], rng: random.Random, furthest: int) -> Batch:
    width = max(len(row.ids) for row in rows) - 1
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    targets = np.zeros((len(rows), width), dtype=np.int64)
    weights = np.zeros((len(rows), width), dtype=np.float32)
    positions = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        length = len(row.ids) - 1
        tokens[number, :length] = row.ids[:-1]
        targets[number, :length] = row.ids[1:]
        weights[number, :length] = row.weights[1:]
        if row.positions is None:
            positions[number] = _positions(width, rng, furthest)
        else:
            positions[number, :length] = row.positions[:-1]
    return Batch(stage, *(torch.from_numpy(array) for array in (tokens, targets, weights, positions)))


def _positions(width: int, rng: random.Random, furthest: int) -> np.ndarray:
    """Positions with gaps: distances of a long prompt, at the price of a short one."""
    positions = np.arange(width)
    if width < 200 or rng.random() < 0.4:
        return positions
    for _ in range(rng.choice((1, 2, 3))):
        cut = rng.randrange(1, width)
        positions[cut:] += int(furthest ** rng.random())
    return positions
