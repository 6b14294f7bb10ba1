"""Saying after, in large doses: the habit that all the rest is built on.

A model learns to look back for what came after the same words, and to go on with it, much sooner where half of every text is
a repetition than where a few words of a long prompt are.
"""

import json
import random
from collections.abc import Callable, Iterator

from training.chat import Piece, Sample
from training.corpus import library_words
from training.data.topics import a_topic
from training.data.values import a_date, a_person, a_title, an_id
from training.data.words import NAMES, invented, snake

_GAPS = ("", "", "", *(" word" * count for count in (40, 150, 400, 900, 1600, 2600, 4000)))
"""What is left out between a text and its repetition."""


def _words(rng: random.Random) -> str:
    """A few words of anything."""
    out = []
    for _ in range(rng.randint(2, 12)):
        draw = rng.random()
        if draw < 0.5:
            out.append(rng.choice(rng.choice(library_words()))[:14])
        else:
            out.append(rng.choice((invented, an_id, a_date, a_person, a_title, snake))(rng))
    return " ".join(out)


def _message(rng: random.Random) -> str:
    if rng.random() < 0.4:
        return _words(rng)
    return rng.choice(a_topic(rng).asked)


def _repeated(rng: random.Random) -> list[Piece]:
    texts = [_words(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
    again = rng.choice(texts)
    mark = rng.choice(("\n", " | ", "\n- ", ". ", "; "))
    start = again.split(" ")[0]
    return [
        Piece(mark.join(texts) + mark, 0.0),
        Piece(start, 0.0, rng.choice(_GAPS)),
        Piece(again[len(start) :] + mark.rstrip(" "), 1.0),
    ]


def _chain(rng: random.Random) -> list[Piece]:
    """A string in which no part tells what comes next, again and again: only looking back helps."""
    draw = rng.random()
    if draw < 0.35:
        text = " ".join(an_id(rng) for _ in range(rng.randint(1, 6)))
    elif draw < 0.5:
        letters = "".join(
            rng.sample("abcdefghijklmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789 -", rng.randint(3, 12))
        )
        text = "".join(rng.choices(letters, k=rng.randint(6, 24))).strip() or "a"
    else:
        text = _words(rng)
    given = rng.randint(1, max(1, len(text) // 3))
    pieces = [Piece(f"{_words(rng)}\n" if rng.random() < 0.5 else "", 0.0), Piece(text + "\n", 0.0)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        if rng.random() < 0.4:
            pieces.append(Piece(_words(rng) + "\n", 0.0))
        pieces += [Piece(text[:given], 0.0, rng.choice(_GAPS)), Piece(text[given:] + "\n", 1.0)]
    return [piece for piece in pieces if piece.text]


def _event(source: str, who: str, text: str) -> str:
    data = {"event_kind": "message", "event_source": source, "data": {"participant": who, "message": text}}
    return json.dumps(data)


def _said(rng: random.Random) -> list[Piece]:
    """The customer's last message, out of a list of events."""
    agent, events = rng.choice(NAMES), []
    for _ in range(rng.choice((0, 0, 0, 1))):
        events += [_event("user", "Guest", _message(rng)), _event("ai_agent", agent, _words(rng))]
    last = _message(rng)
    events.append(_event("user", "Guest", last))
    if rng.random() < 0.2:
        events.append(_event("ai_agent", agent, rng.choice(("Let me see", "Got it", "Hello"))))
    key = rng.choice(("rationale", "reasoning_tldr"))
    return [
        Piece(f"{events!r}\n###\n", 0.0),
        Piece(f'<|im_end|>\n<|im_start|>assistant\n{{"{key}":"', 0.0, rng.choice(_GAPS)),
        Piece(
            "They said: " + json.dumps(last, ensure_ascii=False)[1:-1] + ('"' if key == "reasoning_tldr" else " Same:"),
            1.0,
        ),
    ]


def _looked_up(rng: random.Random) -> list[Piece]:
    """A value out of a message, and out of a list of names."""
    pairs = {snake(rng): rng.choice((an_id, a_date, a_person, a_title))(rng) for _ in range(rng.choice((1, 2, 3)))}
    name, value = rng.choice(list(pairs.items()))
    shown = json.dumps(pairs) if rng.random() < 0.5 else ", ".join(f"{key} {each}" for key, each in pairs.items())
    return [Piece(f"{shown}\n", 0.0), Piece(f'{{"{name}":"', 0.0, rng.choice(_GAPS)), Piece(f'{value}"', 1.0)]


_FORMS: tuple[tuple[Callable[[random.Random], list[Piece]], int], ...] = (
    (_repeated, 25),
    (_chain, 35),
    (_said, 25),
    (_looked_up, 15),
)


def echo_samples(rng: random.Random, count: int) -> Iterator[Sample]:
    """Short texts of which a large part is a repetition."""
    forms, weights = zip(*_FORMS, strict=True)
    for _ in range(count):
        pieces: list[Piece] = []
        for _ in range(rng.choice((1, 2))):
            pieces += rng.choices(forms, weights)[0](rng)
        yield Sample(tuple(pieces), split=True)
