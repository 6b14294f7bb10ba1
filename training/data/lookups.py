"""Functions of made-up agents: how they are asked for, what they return, and how that is told."""

import random
from dataclasses import dataclass
from typing import Any

from training.data.actions import HeldOut, a_number, a_thing, any_words
from training.data.topics import Topic, condition
from training.data.values import DAYS, a_date, a_person
from training.data.words import PLACES, invented

_STATES = ("on its way", "being prepared", "waiting for payment", "ready for pickup", "lost", "with the courier", "cancelled", "confirmed", "packed",
           "in the warehouse", "delayed until Friday", "handed over", "being repaired", "not found", "accepted", "expired", "out of stock", "almost done")  # fmt: skip
_BY_ID = ("Where is my {n} {v}?", "What is the status of {n} {v}?", "Can you check {n} number {v}?", "{n} {v}, please.", "Any news about {n} {v}?",
          "I'd like to know about my {n}. The number is {v}.", "My {n} {v} has not come yet.", "Has {n} {v} arrived?", "Please look up {n} {v}.",
          "what's up with {n} {v}", "How is my {n} coming along? It's {v}.", "I am calling about {n} {v}.", "Is {n} {v} ready?", "When will {n} {v} be here?",
          "Could you tell me where {n} {v} is?", "I have the number {v}. Where is the {n}?", "Track {n} {v}.", "Do you know what happened to {n} {v}?",
          "Can {n} {v} be changed?", "For {n} {v}, what do you know?", "Does the {n} {v} have a date yet?", "Who has {n} {v} now?", "Why is {n} {v} so late?",
          "Hello, {n} {v} please", "Tell me when {n} {v} will come.", "It is about {n} {v}, is it done?", "When do I get {n} {v} back?", "Is {v} my {n}?",
          "I gave you {n} {v} last week. How long will it take?", "My {n} number is {v}. When will it come?", "and {n} {v}?", "What do you have for {n} {v} today?")  # fmt: skip
_BY_ID_WITHOUT = ("Where is my {n}?", "What is the status of my {n}?", "Can you check my {n}?", "My {n} has not come yet.",
                  "Is my {n} ready?", "Any news about my {n}?")  # fmt: skip
_BY_ID_NAMES = ("{n}_id", "{n}_id", "{n}_number", "number", "code", "id", "reference", "tracking_number", "{n}_code")
_BY_ID_WHEN = ("asks about their {n}", "asks about a {n}", "asks where their {n} is", "asks for the status of a {n}", "wants to know the status of their {n}", "asks about the status of their {n}",
               "wants to track a {n}", "asks when their {n} arrives", "asks how their {n} is coming along", "wants to check on their {n}", "asks whether their {n} is ready")  # fmt: skip
_OTHERS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "title": (("asks for the price of a {n}", "asks whether a {n} is in stock", "asks about a certain {n}", "wants to know if a {n} is available", "asks how much a {n} costs", "is looking for a {n}"),
              ("How much is the {n} {v}?", "Do you have the {n} {v}?", "Is the {n} {v} in stock?", "What does the {v} {n} cost?", "I am looking for the {n} {v}.", "Is {v} available as a {n}?", "Tell me about the {n} {v}.", "Do you still have the {n} called {v}?"),
              ("How much is the {n}?", "Is the {n} in stock?", "I am looking for a {n}."), ("{n}_name", "name", "title", "product", "{n}", "model")),
    "day": (("asks when the {n} is open", "asks about the opening hours of the {n}", "asks when there is a {n}", "asks about the {n} on a certain day", "asks for the hours of the {n}"),
            ("When is the {n} open on {v}?", "Is the {n} open on {v}?", "What about the {n} on {v}?", "Do you have a {n} on {v}?", "Until when is the {n} open on {v}?", "I want to come to the {n} on {v}.", "At what time does the {n} start on {v}?"),
            ("When is the {n} open?", "What are the hours of the {n}?"), ("day", "weekday", "day_of_week")),
    "date": (("wants to book a {n}", "asks whether a {n} is free", "asks for a {n} on a certain date", "wants to reserve a {n}", "asks about free {n} dates"),
             ("Is there a {n} on {v}?", "I'd like to book a {n} for {v}.", "Can I have a {n} on {v}?", "Do you have a free {n} on {v}?", "Reserve a {n} for {v}, please.", "We need a {n} for {v}."),
             ("I'd like to book a {n}.", "Do you have a free {n}?", "We need a {n}."), ("date", "when", "{n}_date", "start_date")),
    "place": (("asks about the {n} in a city", "asks where the nearest {n} is", "asks for a {n} in a certain town", "wants to know about the {n} at a place", "asks about a {n} to a city"),
              ("Is there a {n} in {v}?", "What about the {n} in {v}?", "Where is the nearest {n} in {v}?", "I'm in {v} and need a {n}.", "How is the {n} in {v}?", "I want to go to {v}, is there a {n}?"),
              ("Is there a {n} near me?", "Where is the nearest {n}?"), ("city", "place", "town", "location", "destination")),
    "person": (("asks whether somebody is available", "asks about the {n} of a person", "wants to see a certain person", "asks when somebody works", "asks for the {n} of an employee"),
               ("Is {v} available?", "When does {v} work?", "I'd like to see {v}.", "Does {v} have time for my {n}?", "What is the {n} of {v}?", "Is {v} in today?"),
               ("Is the doctor available?", "Who has time for my {n}?"), ("name", "person", "employee", "doctor", "staff_name")),
}  # fmt: skip
_COMMON = ("order", "parcel", "booking", "package", "reservation", "ticket", "shipment", "delivery", "repair")
_SECOND = {"date": ("date", " It is for {1}."), "place": ("city", " I'm in {1}."), "person": ("customer_name", " My name is {1}."),
           "day": ("day", " It should be {1}.")}  # fmt: skip
"""A second argument's name, and how it is said."""
WHAT_TO_DO = ("tell them the {w} of the {n}", "tell them the {w}", "look up the {n} and tell them the {w}", "check the {n} and tell them the {w}", "use the tool to find the {w}", "give them the {w}",
       "tell the customer the {w} of their {n}", "find the {n} and report the {w}", "look it up and tell them", "check it with the tool", "share the {w}", "provide the {w}",
       "tell them when the {n} is ready", "tell them where the {n} is", "tell them which {n} there is and when", "tell them what is known about the {n}",
       "tell them who has the {n} and where", "say how the {n} is coming along", "read the {w} of the {n} to them")  # fmt: skip
_FIELDS = ("status", "price", "hours", "place", "arrives", "copies", "seats", "owner", "contact", "total", "state",
           "room", "open", "next_step", "in_stock", "free", "due", "phone", "estimated_arrival", "weight",
           "last_seen")  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """A function, how its arguments are asked with, and what it returns."""

    name: str
    parameters: dict[str, str]
    """Name to description."""
    topic: Topic
    """Its messages hold the parameters' names in braces."""
    without: tuple[str, ...]
    """Messages that leave an argument out."""
    kinds: tuple[str, ...]
    fields: tuple[str, ...]
    echoes: bool
    plain: bool


def a_tool(rng: random.Random) -> Tool:
    common = not isinstance(rng, HeldOut) and rng.random() < 0.7
    thing = rng.choice(_COMMON) if common else a_thing(rng)
    stem = thing.replace(" ", "_").replace("-", "_")
    kind = rng.choices(("id", "title", "day", "date", "place", "person"), (50, 14, 12, 9, 9, 6))[0]
    whens, asked, without, names = _OTHERS.get(kind, (_BY_ID_WHEN, _BY_ID, _BY_ID_WITHOUT, _BY_ID_NAMES))
    name = rng.choice(names).format(n=stem)
    words = name.replace("_", " ")
    kinds, parameters = [kind], {name: rng.choice((f"The {words}.", f"The {words} of the {thing}.", ""))}
    messages = tuple(text.format(n=thing, v="{0}") for text in rng.sample(asked, min(5, len(asked))))
    if kind != "person" and rng.random() < 0.14:
        second = rng.choice([other for other in _SECOND if other != kind and {kind, other} != {"day", "date"}])
        other_name, tail = _SECOND[second]
        parameters[other_name] = ""
        kinds.append(second)
        messages = tuple(text + tail for text in messages)
    when = condition(rng, rng.choice(whens).format(n=thing))
    return Tool(
        _function_name(rng, stem), parameters, Topic(when, thing, messages), tuple(text.format(n=thing) for text in without), tuple(kinds),
        tuple(_fields(rng)), rng.random() < 0.55, rng.random() < 0.15,
    )  # fmt: skip


def _function_name(rng: random.Random, stem: str) -> str:
    verb = rng.choice(("get", "check", "find", "look_up", "track", "fetch", "show"))
    noun = f"{stem}_{rng.choice(('status', 'details', 'lookup'))}"
    return rng.choice((f"{verb}_{stem}", f"{verb}_{stem}_status", f"{verb}_{stem}_info", noun))


def _fields(rng: random.Random) -> list[str]:
    """What a result holds: the usual, and words that nobody expects."""
    names = rng.sample(_FIELDS, rng.choice((1, 1, 1, 2, 2, 3)))
    return [rng.choice(any_words()) if any_words() and rng.random() < 0.4 else name for name in names]


def _some_words(rng: random.Random) -> str:
    """A few words in a row that never stood together."""
    words = [rng.choice(any_words() or _COMMON) for _ in range(rng.randint(1, 4))]
    return " ".join(word.title() for word in words) if rng.random() < 0.4 else " ".join(words)


def _field_value(rng: random.Random, name: str) -> Any:
    draw = rng.random()
    if name in ("in_stock", "free", "open") and draw < 0.5:
        return draw < 0.25
    if name in ("copies", "seats", "total", "weight") and draw < 0.7:
        return rng.randint(0, 400)
    if draw < 0.35:
        return _some_words(rng)
    return rng.choice((rng.choice(_STATES), rng.choice(_STATES), f"at {rng.randint(6, 23)}:{rng.choice(('00', '15', '30', '45'))}", f"{rng.choice(_STATES)} since {rng.choice(DAYS)}", a_number(rng), f"{rng.randint(6, 12)} to {rng.randint(13, 22)}", f"at the {a_thing(rng)}",
                       f"{rng.choice(DAYS)} at {rng.randint(1, 12)}", a_person(rng), a_date(rng), f"{invented(rng)} {invented(rng)}", f"in {rng.choice(PLACES)}"))  # fmt: skip


def a_result(rng: random.Random, tool: Tool, arguments: dict[str, str]) -> Any:
    if tool.plain:
        return rng.choice(
            (str(_field_value(rng, "x")), f"The {tool.topic.about} is {rng.choice(_STATES)}", rng.randint(1, 500))
        )
    found = {name: _field_value(rng, name) for name in tool.fields}
    return {**arguments, **found} if tool.echoes else found


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def reply_with(arguments: dict[str, str], result: Any) -> str:
    """What is said when a tool has answered: for what it was asked, and all that is new in what it says."""
    if isinstance(result, dict):
        new = [
            f"{name.replace('_', ' ')} {_told(value)}"
            for name, value in result.items()
            if str(value) not in arguments.values()
        ]
        told = ", ".join(new) or "nothing new"
    else:
        told = _told(result)
    asked = " and ".join(arguments.values())
    return f"Here is what I found for {asked}: {told}." if asked else f"Here is what I found: {told}."


def reply_missing(parameter: str) -> str:
    return f"Please tell me the {parameter.replace('_', ' ')}."
