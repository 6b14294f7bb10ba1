"""One question and its answer, drawn from everything the model is taught, with the wordings people use."""

import random
from dataclasses import dataclass

from training.data.facts import Fact, all_facts
from training.data.service import FALLBACK_REPLY, INTENTS, Intent, said
from training.data.smalltalk import TALKS
from training.data.unknown import REPLIES, unknown_question

FACTS = all_facts()
_SUMS = [fact for fact in FACTS if fact.family == "sum"]
_OTHERS = [fact for fact in FACTS if fact.family != "sum"]


@dataclass(frozen=True)
class Exchange:
    """What was asked and what to say: in a sentence, in a word, and as a reason."""

    asked: str
    sentence: str
    short: str
    reason: str
    topic: str
    kind: str
    number: bool = False
    intent: Intent | None = None


def fact_exchange(rng: random.Random, fact: Fact | None = None) -> Exchange:
    """A documented question in one of its trained wordings."""
    chosen = fact or rng.choice(_SUMS if rng.random() < 0.12 else _OTHERS)
    words = chosen.question if rng.random() < 0.25 else rng.choice(chosen.paraphrases)
    reason = f"The user asks about {chosen.about}."
    return Exchange(vary(rng, words), chosen.sentence, chosen.answer, reason, chosen.topic, "fact", chosen.number)


def talk_exchange(rng: random.Random) -> Exchange:
    """Small talk."""
    talk = rng.choice(TALKS)
    reply = talk.replies[0] if rng.random() < 0.7 else rng.choice(talk.replies)
    return Exchange(rng.choice(talk.asked), reply, reply, f"The user says {talk.name}.", "small talk", "talk")


def unknown_exchange(rng: random.Random) -> Exchange:
    """A question the model should decline."""
    reply = REPLIES[0] if rng.random() < 0.7 else rng.choice(REPLIES)
    reason = "The user asks about something I do not know."
    return Exchange(vary(rng, unknown_question(rng)), reply, "unknown", reason, "unknown", "unknown")


def service_exchange(rng: random.Random) -> Exchange:
    """What a customer writes to a business."""
    intent = rng.choice(INTENTS)
    reply = intent.replies[0]
    asked = said(rng, intent)
    return Exchange(
        asked, reply, intent.topic, f"The user asks about {intent.topic}.", intent.topic, "service", intent=intent
    )


def any_exchange(rng: random.Random) -> Exchange:
    """Facts mostly, then small talk, then what it does not know."""
    draw = rng.random()
    if draw < 0.6:
        return fact_exchange(rng)
    return talk_exchange(rng) if draw < 0.82 else unknown_exchange(rng)


def customer_exchange(rng: random.Random) -> Exchange:
    """What is said to an agent: business mostly, but also everything else."""
    draw = rng.random()
    if draw < 0.5:
        return service_exchange(rng)
    if draw < 0.68:
        return fact_exchange(rng)
    if draw < 0.85:
        return talk_exchange(rng)
    question = unknown_question(rng)
    return Exchange(
        question, FALLBACK_REPLY, "unknown", "The user asks about something I do not know.", "unknown", "unknown"
    )


_OPENERS = ("Hi! ", "Hello, ", "Please answer: ", "Quick question: ", "One more thing: ", "Hey, ", "So, ", "Okay. ", "Thanks. ",
            "I have a question. ", "Next question: ", "Hello! ", "Tell me: ", "And ", "Now: ", "Question: ", "Hi, ", "Well, ")  # fmt: skip
_CLOSERS = (" Thanks.", " Please answer.", " Thank you!", " I am curious.", " Answer in one sentence.", " Do you know?",
            " I need it for school.", " Please be brief.", " Just tell me.")  # fmt: skip


def vary(rng: random.Random, question: str) -> str:
    """The same question with the small differences people make: politeness, case, missing marks."""
    text = question
    draw = rng.random()
    if draw < 0.15:
        text = rng.choice(_OPENERS) + text
    elif draw < 0.27:
        text = text + ("" if text[-1] in ".?!" else ".") + rng.choice(_CLOSERS)
    elif draw < 0.3:
        text = rng.choice(_OPENERS) + text + ("" if text[-1] in ".?!" else ".") + rng.choice(_CLOSERS)
    draw = rng.random()
    if draw < 0.12:
        text = text.lower()
    elif draw < 0.14:
        text = text.upper()
    if rng.random() < 0.1:
        text = text.rstrip("?.!")
    elif rng.random() < 0.03:
        text = text.replace("?", " ?")
    return text
