"""Values that customers name: ids, dates, titles, people."""

import random

from training.data.actions import THINGS
from training.data.words import NAMES, NOUNS, PLACES, invented

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def an_id(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.55:
        return str(rng.randint(10 ** rng.randint(2, 6), 10**7))[: rng.randint(3, 7)]
    head = rng.choice(
        (
            "A",
            "B",
            "TR",
            "TRK",
            "BK",
            "INV",
            "R",
            "X",
            "ORD",
            "QZ",
            "".join(rng.choices("ABCDEFGHJKLMNPRSTUVW", k=rng.randint(1, 3))),
        )
    )
    return f"{head}{rng.choice(('', '-', '-', ''))}{rng.randint(10, 99999)}"


def a_date(rng: random.Random) -> str:
    day, month = rng.randint(1, 28), rng.randint(1, 12)
    return rng.choice(
        (
            f"{_MONTHS[month - 1]} {day}",
            f"{day} {_MONTHS[month - 1]}",
            f"2026-{month:02}-{day:02}",
            rng.choice(DAYS),
            "tomorrow",
            f"next {rng.choice(DAYS)}",
        )
    )


def a_title(rng: random.Random) -> str:
    words = [
        rng.choice((invented(rng), rng.choice(NOUNS), rng.choice(THINGS))).title() for _ in range(rng.choice((1, 2, 2)))
    ]
    return " ".join(words)


def a_person(rng: random.Random) -> str:
    first = rng.choice(NAMES).split()[0]
    return rng.choice(
        (first, f"{first} {invented(rng).title()}", f"Dr. {invented(rng).title()}", f"Ms. {invented(rng).title()}")
    )


def value_of(rng: random.Random, kind: str) -> str:
    if kind == "id":
        return an_id(rng)
    if kind == "day":
        return rng.choice(DAYS)
    if kind == "date":
        return a_date(rng)
    if kind == "place":
        return rng.choice(PLACES) if rng.random() < 0.7 else invented(rng).title()
    return a_title(rng) if kind == "title" else a_person(rng)
