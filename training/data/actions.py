"""What a guideline tells an agent to do, and how it sounds when the agent does it.

An action is carried out in its own words: "say that dogs travel free" becomes "Dogs travel free.". So what is learnt is to
copy, with their and them turned into your and you, and it works for words that nobody has seen.
"""

import random
import re
from collections import Counter
from collections.abc import Callable
from functools import cache

from training.corpus import library_words
from training.data.words import NAMES, PLACES, invented

_SPEAKERS = {"they": "you", "them": "you", "their": "your", "theirs": "yours", "themselves": "yourself",
             "They": "You", "Them": "You", "Their": "Your"}  # fmt: skip
_SPEAKER = re.compile(r"\b(" + "|".join(_SPEAKERS) + r")\b")

THINGS = (
    "ticket", "parcel", "invoice", "room", "table", "subscription", "membership", "booking", "refund", "voucher", "battery",
    "charger", "lamp", "bicycle", "course", "lesson", "locker", "key", "garden tour", "boat trip", "cake", "breakfast", "menu",
    "sauna", "pool", "gym", "parking space", "bus", "train", "flight", "bag", "suitcase", "jacket", "shoe", "dress", "ring",
    "watch", "phone", "screen", "printer", "router", "contract", "policy", "claim", "payment", "loan", "account", "card",
    "prescription", "vaccine", "appointment", "check-up", "dog", "cat", "horse", "puppy", "plant", "tree", "flower", "seed",
    "tool", "drill", "ladder", "paint", "carpet", "sofa", "bed", "mattress", "kitchen", "oven", "fridge", "washing machine",
    "coffee", "tea", "wine", "bread", "cheese", "pizza", "burger", "salad", "soup", "catalogue", "magazine", "newspaper",
    "guitar", "piano", "concert", "film", "exhibition", "guide", "map", "tent", "kayak", "ski",
    "engine", "car", "van", "taxi", "repair", "warranty", "receipt", "password", "address", "delivery", "pickup", "service",
)  # fmt: skip
UNSEEN_THINGS = (
    "hammock", "aquarium", "trombone", "wheelchair", "lantern", "canoe", "telescope", "pillow", "scooter", "greenhouse", "necklace",
    "marathon", "pottery class", "chess set", "snow chain", "hearing aid", "beehive", "wedding cake", "passport photo", "heat pump",
)  # fmt: skip
"""Kept out of training, to be scored apart."""


class HeldOut(random.Random):
    """Draws what is kept out of training, wherever there is a choice."""


_STATES = ("free", "closed", "open", "included", "sold out", "ready", "available", "on the second floor", "behind the building",
           "next to the entrance", "in the basement", "not allowed", "welcome", "for members only", "paid in advance",
           "made by hand", "served until noon", "cheaper on Mondays", "kept for two weeks", "covered by the warranty")  # fmt: skip
_WHEN = ("", "", "", " on weekdays", " on Sundays", " in winter", " after six", " before noon", " every morning", " from May to October",
         " within three days", " until the end of the month", " at the front desk", " for children", " with a voucher")  # fmt: skip
_DEEDS = (
    "change their address", "bring a passport", "call the office", "restart the router", "check the label", "send a photo",
    "wait ten minutes", "come to the desk", "fill in the form", "show the receipt", "keep the box", "read the manual",
    "write to the manager", "choose another date", "use the side door", "pay at the counter", "download the app",
    "press the green button", "leave their number", "take the stairs", "visit the website", "ask at reception",
)  # fmt: skip
_QUESTIONS = (
    "which size they wear", "how many people will come", "what colour they prefer", "whether they are a member",
    "when they want to arrive", "which model they have", "where they live", "how old the child is", "what they have tried so far",
    "who the gift is for", "which day suits them", "how long they want to stay", "whether they need an invoice",
    "what went wrong", "which dish they would like", "how they want to pay", "if they have an allergy",
)  # fmt: skip
_DETAILS = ("name", "email address", "phone number", "postcode", "booking code", "date of birth", "customer number", "address",
            "preferred date", "serial number", "budget", "size")  # fmt: skip


def spoken(text: str) -> str:
    """To the customer instead of about them."""
    return _SPEAKER.sub(lambda found: _SPEAKERS[found[1]], text)


def _sentence(text: str) -> str:
    said = spoken(text)
    return said[0].upper() + said[1:] + ("" if said[-1] in ".!?" else ".")


def a_number(rng: random.Random) -> str:
    return rng.choice((
        str(rng.randint(2, 90)), f"{rng.randint(1, 99)}.{rng.randint(10, 99)}", f"{rng.randint(1, 12)} pm", f"{rng.randint(6, 23)}:{rng.choice(('00', '15', '30'))}",
        f"{rng.randint(2, 95)} percent", f"{rng.randint(2, 300)} euros", f"${rng.randint(2, 300)}", f"{rng.randint(2, 60)} days",
    ))  # fmt: skip


_ANY_WORD = 0.3


@cache
def any_words() -> tuple[str, ...]:
    """Plain English words, so that what is learnt of things holds for every word."""
    counts = Counter(word for words in library_words() for word in words)
    unseen = {word for thing in UNSEEN_THINGS for word in thing.split()}
    common = (word for word, count in counts.items() if count > 2 and 5 <= len(word) <= 11)
    return tuple(sorted(word for word in common if word.isalpha() and word.islower() and word not in unseen))


def a_thing(rng: random.Random) -> str:
    """A noun of some business, now and then one that nobody knows."""
    draw = rng.random()
    pool = UNSEEN_THINGS if isinstance(rng, HeldOut) else THINGS
    if pool is THINGS and rng.random() < _ANY_WORD and any_words():
        return rng.choice(any_words())
    if draw < 0.6:
        return rng.choice(pool)
    if draw < 0.8:
        return f"{invented(rng)} {rng.choice(pool)}"
    return f"{rng.choice(pool)} {rng.choice(pool)}" if draw < 0.9 else invented(rng)


def several(thing: str) -> str:
    if thing.endswith(("s", "x", "ch", "sh")):
        return thing + "es"
    return thing[:-1] + "ies" if thing.endswith("y") and thing[-2:-1] not in "aeiou" else thing + "s"


def a_fact(rng: random.Random, about: str | None = None) -> str:
    thing = about or a_thing(rng)
    draw = rng.random()
    if draw < 0.12 and library_words():
        words = [word for word in rng.choice(library_words()) if word.isalpha()]
        start = rng.randrange(max(1, len(words) - 10))
        span = words[start : start + rng.randint(4, 9)]
        if len(span) >= 4:
            return " ".join(span).lower()
    if draw < 0.35:
        return f"{several(thing)} are {rng.choice(_STATES)}{rng.choice(_WHEN)}"
    if draw < 0.5:
        return f"the {thing} is {rng.choice(_STATES)}{rng.choice(_WHEN)}"
    if draw < 0.62:
        return f"{rng.choice(('a', 'every', 'the'))} {thing} costs {a_number(rng)}{rng.choice(_WHEN)}"
    if draw < 0.72:
        return f"the shop {rng.choice(('offers', 'has', 'repairs', 'rents', 'sells', 'delivers'))} {several(thing)}{rng.choice(_WHEN)}"
    if draw < 0.84:
        return f"they {rng.choice(('can', 'may', 'should', 'have to', 'do not need to'))} {rng.choice(_DEEDS)}"
    if draw < 0.93:
        return f"the {thing} takes {a_number(rng)} and {rng.choice(NAMES)} will {rng.choice(('call them', 'help them', 'be there', 'bring it'))}"
    return f"we are in {rng.choice(PLACES)}, near the {thing} {rng.choice(('market', 'station', 'bridge', 'tower'))}"


_Deed = Callable[[random.Random, str | None], tuple[str, str]]


def _says(rng: random.Random, about: str | None) -> tuple[str, str]:
    fact = a_fact(rng, about)
    verb = rng.choice(("say that", "say that", "tell them that", "tell them that", "tell the customer that", "explain that", "let them know that",
                       "inform them that", "answer that", "point out that", "mention that", "confirm that", "remind them that",
                       "clarify that", "reply that", "assure them that", "state that", "note that", "tell them"))  # fmt: skip
    return f"{verb} {fact}", _sentence(fact)


def _asks_for(rng: random.Random, about: str | None) -> tuple[str, str]:
    detail = rng.choice((*_DETAILS, f"{about or a_thing(rng)} number", f"number of the {about or a_thing(rng)}"))
    whose = rng.choice(("their", "their", "the"))
    verb = rng.choice(("ask for", "ask them for", "ask the customer for", "request", "politely ask for"))
    return f"{verb} {whose} {detail}", f"Please tell me {spoken(whose)} {detail}."


def _asks_what(rng: random.Random, _about: str | None) -> tuple[str, str]:
    clause = rng.choice(_QUESTIONS)
    return (
        f"{rng.choice(('ask', 'ask them', 'ask the customer', 'find out'))} {clause}",
        f"Please tell me {spoken(clause)}.",
    )


def _offers(rng: random.Random, about: str | None) -> tuple[str, str]:
    thing = about or a_thing(rng)
    draw = rng.random()
    if draw < 0.4:
        what = rng.choice((f"help with {several(thing)}", f"help with {several(thing)} and {several(a_thing(rng))}",
                           f"a {thing} for {a_number(rng)}", f"a free {thing}", f"another {thing}"))  # fmt: skip
        return f"{rng.choice(('offer', 'offer them'))} {what}", f"I can offer you {what}."
    if draw < 0.7:
        deed = rng.choice((f"book a {thing}", f"send a new {thing}", f"repair the {thing}", f"check the {thing}", f"cancel the {thing}", f"call {rng.choice(NAMES)}"))  # fmt: skip
        return f"offer to {deed}", f"I can {deed}."
    what = rng.choice(
        (f"the {a_thing(rng)} {thing}", f"a {thing} from {rng.choice(PLACES)}", f"the {thing} {rng.choice(_STATES)}")
    )
    verb = rng.choice(("recommend", "suggest"))
    return f"{verb} {what}", f"I {verb} {what}."


def _sends(rng: random.Random, about: str | None) -> tuple[str, str]:
    draw = rng.random()
    if draw < 0.6:
        deed = rng.choice((*_DEEDS, f"bring the {about or a_thing(rng)}"))
        verb = rng.choice(
            ("ask them to", "tell them to", "advise them to", "invite them to", "remind them to", "instruct them to")
        )
        return f"{verb} {deed}", f"Please {spoken(deed)}."
    target = rng.choice(
        (
            f"the {a_thing(rng)} desk",
            f"the {a_thing(rng)} team",
            rng.choice(NAMES),
            f"{invented(rng)}.com",
            f"the office in {rng.choice(PLACES)}",
        )
    )
    verb = rng.choice(("refer them to", "direct them to", "send them to", "point them to"))
    return f"{verb} {target}", f"Please turn to {target}."


def _gives(rng: random.Random, _about: str | None) -> tuple[str, str]:
    what = rng.choice((f"the phone number {rng.randint(100, 999)}-{rng.randint(1000, 9999)}", f"the address {invented(rng)}@{invented(rng)}.com",
                       f"the code {invented(rng).upper()}{rng.randint(1, 99)}", f"the link {invented(rng)}.com/{rng.choice(THINGS).split()[0]}"))  # fmt: skip
    verb = rng.choice(("give them", "share", "provide", "send them"))
    return f"{verb} {what}", f"Here is {what}."


def _notes(rng: random.Random, about: str | None) -> tuple[str, str]:
    what = rng.choice(
        (
            f"the {about or a_thing(rng)} club{rng.choice(_WHEN)}",
            f"the {a_thing(rng)} {rng.choice(_STATES)}",
            f"the offer of {a_number(rng)}",
            f"the {about or a_thing(rng)} hour at {a_number(rng)}",
        )
    )
    return f"{rng.choice(('mention', 'bring up', 'tell them about'))} {what}", f"Please note {what}."


def _declines(rng: random.Random, about: str | None) -> tuple[str, str]:
    what = rng.choice(
        (
            f"give advice about {several(about or a_thing(rng))}",
            f"discuss the {about or a_thing(rng)}",
            "talk about prices",
            f"promise a {about or a_thing(rng)}",
            f"change the {a_thing(rng)}",
        )
    )
    verb = rng.choice(("do not", "never", "refuse to", "decline to", "politely decline to"))
    return f"{verb} {what}", f"I am sorry, but I cannot {what}."


_DEEDS_OF: tuple[tuple[_Deed, int], ...] = (
    (_says, 40), (_asks_for, 9), (_asks_what, 8), (_offers, 16), (_sends, 10), (_gives, 5), (_notes, 6), (_declines, 6),
)  # fmt: skip


def _plain(rng: random.Random, about: str | None) -> tuple[str, str]:
    deeds, weights = zip(*_DEEDS_OF, strict=True)
    deed: _Deed = rng.choices(deeds, weights)[0]
    return deed(rng, about)


def an_action(rng: random.Random, about: str | None = None) -> tuple[str, str]:
    """What to do, and what is said when it is done; at times two things in one."""
    action, reply = _plain(rng, about if rng.random() < 0.6 else None)
    draw = rng.random()
    if draw < 0.12:
        verb, said = rng.choice((("apologise", "I am sorry."), ("apologize", "I am sorry."), ("apologise for the trouble", "I am sorry for the trouble."),
                                 ("thank them", "Thank you."), ("thank the customer", "Thank you."), ("show sympathy", "I am sorry to hear that.")))  # fmt: skip
        return f"{verb}{rng.choice((' and ', ', and ', ' and then '))}{action}", f"{said} {reply}"
    if draw < 0.27:
        second, more = _plain(rng, None)
        return f"{action}{rng.choice((' and ', ', and '))}{second}", f"{reply} {more}"
    if draw < 0.32:
        return f"{rng.choice(('politely', 'briefly', 'always', 'kindly'))} {action}", reply
    return (action[0].upper() + action[1:] if draw < 0.4 else action) + ("." if draw > 0.94 else ""), reply


def a_greeting(rng: random.Random) -> tuple[str, str]:
    """For the guideline about greetings."""
    draw = rng.random()
    verb = rng.choice(
        ("greet them", "greet them", "welcome them", "say hello", "greet the customer", "greet them warmly")
    )
    if draw < 0.2:
        return verb, "Hello! How can I help you?"
    if draw < 0.6:
        what = rng.choice(
            (several(a_thing(rng)), f"{several(a_thing(rng))} and {several(a_thing(rng))}", f"the {a_thing(rng)}")
        )
        return f"{verb} and offer help with {what}", f"Hello! I can offer you help with {what}."
    action, reply = _plain(rng, None)
    return f"{verb} and {action}", f"Hello! {reply}"
