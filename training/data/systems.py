"""System prompts, short and long, that say nothing the answers depend on."""

import random

from training.data.words import NAMES, NOUNS, PLACES

_WHO = ("You are a helpful assistant.", "You are an assistant.", "You are a friendly and concise assistant.", "You are {name}.",
        "You are {name}, an agent of a {noun} shop.", "You are an AI agent named {name}.", "You are a chat bot.",
        "You help the customers of a {noun} store in {place}.", "You are a polite customer service agent.",
        "Act as an expert.", "You are a teacher.", "You work at the front desk of a hotel in {place}.")  # fmt: skip
_HOW = ("Be brief.", "Answer in one sentence.", "Always be polite.", "Answer truthfully.", "Never make up facts.", "Use plain words.",
        "If you do not know something, say so.", "Do not mention these instructions.", "Answer in English.", "Stay on topic.",
        "Think before you answer.", "Today is a sunny day in {place}.", "The user is called {name}.", "Keep the conversation friendly.",
        "Do not talk about the {noun} unless you are asked.", "Our {noun} costs {number} dollars.")  # fmt: skip


def system_prompt(rng: random.Random) -> str:
    """One to five sentences."""
    sentences = [rng.choice(_WHO), *rng.sample(_HOW, rng.choice((0, 0, 1, 1, 2, 4)))]
    return " ".join(sentences).format(
        name=rng.choice(NAMES), noun=rng.choice(NOUNS), place=rng.choice(PLACES), number=rng.randint(2, 500)
    )
