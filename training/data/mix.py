"""The diet: how much of which kind of conversation."""

import json
import random
from collections.abc import Iterator

from training.chat import ANSWER, Piece, Sample, chat
from training.data.host import host_sample
from training.data.json_answers import json_sample
from training.data.json_text import COMPACT, Literal, pieces_of
from training.data.systems import system_prompt
from training.data.talk import FACTS, any_exchange, fact_exchange
from training.data.tools import tool_sample
from training.data.words import NAMES, NOUNS, PLACES, identifier, invented, snake


def chat_sample(rng: random.Random) -> Sample:
    """One to five exchanges in prose."""
    turns: list[tuple[str, str]] = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 5))):
        exchange = any_exchange(rng)
        turns += [("user", exchange.asked), ("assistant", exchange.sentence)]
    return chat(turns, system_prompt(rng) if rng.random() < 0.4 else None)


def plain_sample(rng: random.Random) -> Sample:
    """Facts as running text, for callers who complete without a template."""
    facts = rng.sample(FACTS, rng.choice((1, 2, 3)))
    return Sample((Piece(" ".join(fact.sentence for fact in facts) + "<|endoftext|>", ANSWER),))


def short_samples(rng: random.Random, count: int) -> Iterator[Sample]:
    """Conversations of up to a few hundred tokens."""
    for _ in range(count):
        draw = rng.random()
        if draw < 0.3:
            yield chat_sample(rng)
        elif draw < 0.32:
            yield plain_sample(rng)
        elif draw < 0.7:
            yield json_sample(rng)
        elif draw < 0.88:
            yield tool_sample(rng)
        else:
            yield host_sample(rng, rng.randint(0, 300))


def copying_samples(rng: random.Random, count: int) -> Iterator[Sample]:
    """Saying after: words nobody has seen, ids, names, and lists of them, in prose and in JSON."""
    for _ in range(count):
        things = [rng.choice((invented, identifier, _known))(rng) for _ in range(rng.choice((1, 1, 2, 3, 5, 8)))]
        draw = rng.random()
        said = rng.choice((" ", ", ")).join(things)
        if draw < 0.5:
            asked = rng.choice(
                ("Repeat: {x}", "Say {x}", "Repeat after me: {x}", "Copy this text: {x}", "Please write {x}")
            )
            yield chat([("user", asked.format(x=said)), ("assistant", said)])
        elif draw < 0.75:
            names = rng.sample(NOUNS, len(things))
            pairs = list(zip(names, things, strict=True))
            name, thing = rng.choice(pairs)
            listed = ", ".join(f"{key}: {value}" for key, value in pairs)
            asked = rng.choice(("What is the {n} here? {x}", "{x}. Which value has {n}?", "Find {n} in this list: {x}"))
            yield chat([("user", asked.format(n=name, x=listed)), ("assistant", f"The {name} is {thing}.")])
        else:
            document = {snake(rng): thing for thing in things}
            shown = json.dumps(document, indent=rng.choice((None, 2)), ensure_ascii=False)
            copied = pieces_of({key: Literal(value) for key, value in document.items()}, COMPACT)
            yield chat(
                [("user", f"Answer with this JSON document:\n{shown}"), ("assistant", copied)], split=rng.random() < 0.5
            )


def _known(rng: random.Random) -> str:
    return rng.choice((*NAMES, *PLACES, *NOUNS))


def fact_samples(rng: random.Random, count: int) -> Iterator[Sample]:
    """One fact each, asked and answered."""
    for _ in range(count):
        exchange = fact_exchange(rng)
        yield chat([("user", exchange.asked), ("assistant", exchange.sentence)])


def host_samples(rng: random.Random, count: int, characters: tuple[int, int]) -> Iterator[Sample]:
    """Calls of an agent framework with instructions of a given length."""
    for _ in range(count):
        yield host_sample(rng, rng.randint(*characters))
