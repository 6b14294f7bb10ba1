"""Small agents of many businesses, conversations with them, and what is right in the next turn.

Nothing here is a prompt: `training/record.py` sits these conversations in Parlant's own engine and notes what it asks.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from training.data.actions import THINGS, HeldOut, a_greeting, a_number, a_thing, an_action, several
from training.data.topics import (
    GREETING,
    SMALL_TALK,
    UNKNOWN_REPLY,
    Topic,
    a_topic,
    condition,
    greeting_topic,
    with_tail,
)
from training.data.words import NAMES, NOUNS, PLACES, invented

MISSING = "<<__missing__>>"
ASKING = ("ask for", "ask them for", "ask the customer for", "request", "politely ask for", "ask which", "ask what", "ask whether", "ask if",
          "ask when", "ask where", "ask how", "ask who", "ask them wh", "ask them how", "ask the customer wh", "find out")  # fmt: skip
"""How actions begin that wait for an answer."""
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_STATES = ("on its way", "being prepared", "waiting for payment", "ready for pickup", "lost", "with the courier", "cancelled", "confirmed", "packed",
           "in the warehouse", "delayed until Friday", "handed over", "being repaired", "not found", "accepted", "expired", "out of stock", "almost done")  # fmt: skip


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


@dataclass(frozen=True)
class Guideline:
    when: str
    do: str
    reply: str
    asked: tuple[str, ...]
    tool: Tool | None = None


@dataclass
class Key:
    """What is right in a turn."""

    applies: set[str]
    said: str
    """The words of the customer that the turn is about."""
    fallback: str
    calls: dict[str, dict[str, str]] = field(default_factory=dict)
    """By tool; a missing argument has Parlant's own mark."""


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
            rng.choice(_DAYS),
            "tomorrow",
            f"next {rng.choice(_DAYS)}",
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
        return rng.choice(_DAYS)
    if kind == "date":
        return a_date(rng)
    if kind == "place":
        return rng.choice(PLACES) if rng.random() < 0.7 else invented(rng).title()
    return a_title(rng) if kind == "title" else a_person(rng)


_BY_ID = ("Where is my {n} {v}?", "What is the status of {n} {v}?", "Can you check {n} number {v}?", "{n} {v}, please.", "Any news about {n} {v}?",
          "I'd like to know about my {n}. The number is {v}.", "My {n} {v} has not come yet.", "Has {n} {v} arrived?", "Please look up {n} {v}.",
          "what's up with {n} {v}", "How is my {n} coming along? It's {v}.", "I am calling about {n} {v}.", "Is {n} {v} ready?", "When will {n} {v} be here?",
          "Could you tell me where {n} {v} is?", "I have the number {v}. Where is the {n}?", "Track {n} {v}.", "Do you know what happened to {n} {v}?")  # fmt: skip
_BY_ID_WITHOUT = (
    "Where is my {n}?",
    "What is the status of my {n}?",
    "Can you check my {n}?",
    "My {n} has not come yet.",
    "Is my {n} ready?",
    "Any news about my {n}?",
)
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
_DO = ("tell them the {w} of the {n}", "tell them the {w}", "look up the {n} and tell them the {w}", "check the {n} and tell them the {w}", "use the tool to find the {w}", "give them the {w}",
       "tell the customer the {w} of their {n}", "find the {n} and report the {w}", "look it up and tell them", "check it with the tool", "share the {w}", "provide the {w}")  # fmt: skip
_FIELDS = (
    "status",
    "price",
    "hours",
    "place",
    "arrives",
    "copies",
    "seats",
    "owner",
    "contact",
    "total",
    "state",
    "room",
    "open",
    "next_step",
    "in_stock",
    "free",
    "due",
    "phone",
    "estimated_arrival",
    "weight",
    "last_seen",
)


def a_tool(rng: random.Random) -> Tool:
    thing = (
        a_thing(rng)
        if isinstance(rng, HeldOut)
        else rng.choice(
            (
                "order",
                "parcel",
                "booking",
                "package",
                "reservation",
                "ticket",
                "shipment",
                "delivery",
                "repair",
                a_thing(rng),
                a_thing(rng),
                a_thing(rng),
                a_thing(rng),
            )
        )
    )
    stem = thing.replace(" ", "_").replace("-", "_")
    kind = rng.choices(("id", "title", "day", "date", "place", "person"), (50, 14, 12, 9, 9, 6))[0]
    if kind == "id":
        whens, asked, without = _BY_ID_WHEN, _BY_ID, _BY_ID_WITHOUT
        names: tuple[str, ...] = (
            "{n}_id",
            "{n}_id",
            "{n}_number",
            "number",
            "code",
            "id",
            "reference",
            "tracking_number",
            "{n}_code",
        )
    else:
        whens, asked, without, names = _OTHERS[kind]
    name = rng.choice(names).format(n=stem)
    kinds, parameters = (
        [kind],
        {name: rng.choice((f"The {name.replace('_', ' ')}.", f"The {name.replace('_', ' ')} of the {thing}.", ""))},
    )
    messages = tuple(text.format(n=thing, v="{0}") for text in rng.sample(asked, min(5, len(asked))))
    if kind != "person" and rng.random() < 0.14:  # a second argument
        second = rng.choice(
            [
                other
                for other in ("date", "place", "person", "day")
                if other != kind and {kind, other} != {"day", "date"}
            ]
        )
        other_name = {"date": "date", "place": "city", "person": "customer_name", "day": "day"}[second]
        parameters[other_name] = ""
        kinds.append(second)
        tail = {
            "date": " It is for {1}.",
            "place": " I'm in {1}.",
            "person": " My name is {1}.",
            "day": " It should be {1}.",
        }[second]
        messages = tuple(text + tail for text in messages)
    when = condition(rng, rng.choice(whens).format(n=thing))
    verb = rng.choice(("get", "check", "find", "look_up", "track", "fetch", "show"))
    tool_name = rng.choice(
        (
            f"{verb}_{stem}",
            f"{verb}_{stem}_status",
            f"{verb}_{stem}_info",
            f"{stem}_{rng.choice(('status', 'details', 'lookup'))}",
        )
    )
    return Tool(
        tool_name, parameters, Topic(when, thing, messages), tuple(text.format(n=thing) for text in without), tuple(kinds),
        tuple(rng.sample(_FIELDS, rng.choice((1, 1, 1, 2, 2, 3)))), rng.random() < 0.55, rng.random() < 0.15,
    )  # fmt: skip


def _field_value(rng: random.Random, name: str) -> Any:
    draw = rng.random()
    if name in ("in_stock", "free", "open") and draw < 0.5:
        return draw < 0.25
    if name in ("copies", "seats", "total", "weight") and draw < 0.7:
        return rng.randint(0, 400)
    return rng.choice((rng.choice(_STATES), rng.choice(_STATES), f"{rng.choice(_STATES)} since {rng.choice(_DAYS)}", a_number(rng), f"{rng.randint(6, 12)} to {rng.randint(13, 22)}", f"at the {a_thing(rng)}",
                       f"{rng.choice(_DAYS)} at {rng.randint(1, 12)}", a_person(rng), a_date(rng), f"{invented(rng)} {invented(rng)}", f"in {rng.choice(PLACES)}"))  # fmt: skip


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


@dataclass
class Conversation:
    """One case for the engine, and its key."""

    lines: list[dict[str, Any]]
    applied: list[str]
    key: Key


@dataclass
class Agent:
    name: str
    description: str
    glossary: dict[str, str]
    guidelines: dict[str, Guideline]
    results: dict[str, list[dict[str, Any]]]
    """Of each tool, grown by its conversations."""

    def file(self) -> dict[str, Any]:
        """As `parlant-local evaluate` reads it."""
        tools = {
            rule.tool.name: {
                "description": rule.tool.topic.about.capitalize() + rng_free(rule.tool.name),
                "parameters": {
                    name: {"type": "string", "description": about} for name, about in rule.tool.parameters.items()
                },
                "results": self.results[rule.tool.name] or [{"data": "not found"}],
            }
            for rule in self.guidelines.values()
            if rule.tool
        }
        rules = {
            name: {"when": rule.when, "do": rule.do, "tools": [rule.tool.name] if rule.tool else []}
            | ({"awaits": "The customer answered"} if rule.do.lower().startswith(ASKING) else {})
            for name, rule in self.guidelines.items()
        }
        return {
            "name": self.name,
            "language": "en",
            "description": self.description,
            "glossary": self.glossary,
            "tools": tools,
            "guidelines": rules,
        }


def rng_free(name: str) -> str:
    """A description that differs from tool to tool without being drawn."""
    return (" lookup.", " status.", ": what is known about it.", " information.")[len(name) % 4]


def an_agent(rng: random.Random) -> Agent:
    business = f"{rng.choice(('a small', 'a', 'an online', 'a family', 'a local'))} {a_thing(rng)} {rng.choice(('shop', 'store', 'company', 'service', 'school', 'clinic', 'hotel', 'bank', 'office', 'club'))}"
    description = rng.choice((
        "You help the customers of {b}. You are friendly and brief.", "You work for {b}.", "You are the assistant of {b} in {p}.", "You answer questions about {b}.",
        "You handle customer requests for {b}. Be polite.", "A helpful agent of {b}.", "You are an agent for {b}. You speak plainly.",
    )).format(b=business, p=rng.choice(PLACES))  # fmt: skip
    name = (
        rng.choice(NAMES).split()[0]
        if rng.random() < 0.7
        else f"{invented(rng).title()} {rng.choice(('Bot', 'Support', 'Desk', 'Agent'))}"
    )
    guidelines: dict[str, Guideline] = {}
    results: dict[str, list[dict[str, Any]]] = {}
    shared = a_thing(rng) if rng.random() < 0.25 else None
    for number in range(rng.choice((1, 2, 3, 3, 3, 3, 4, 5))):
        draw = rng.random()
        if draw < 0.42 or (number == 0 and draw < 0.8):
            tool = a_tool(rng)
            if tool.name in results:
                continue
            results[tool.name] = []
            do = rng.choice(_DO).format(n=tool.topic.about, w=tool.fields[0].replace("_", " "))
            rule = Guideline(tool.topic.when, do, "", tool.topic.asked, tool)
        elif draw < 0.53 and not any(each.asked[0] == "Hello!" for each in guidelines.values()):
            topic = greeting_topic(rng)
            rule = Guideline(topic.when, *a_greeting(rng), topic.asked)
        else:
            topic = a_topic(rng, shared)
            rule = Guideline(topic.when, *an_action(rng, topic.about if " " not in topic.about else None), topic.asked)
        if all(rule.when != each.when and rule.do != each.do for each in guidelines.values()):
            guidelines[f"rule_{number}"] = rule
    items = list(guidelines.items())
    rng.shuffle(items)
    glossary = {}
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        glossary[f"{invented(rng).title()} {a_thing(rng)}"] = (
            f"The {a_thing(rng)} for {several(a_thing(rng))}; {a_number(rng)}."
        )
    return Agent(name, description, glossary, dict(items), results)


_THEN = ("{a} Also, {b}", "{a} And {b}", "{a} {b}", "{a} One more thing: {b}")


def _use(
    rng: random.Random, agent: Agent, rule: Guideline, *, complete: bool = True
) -> tuple[str, dict[str, str], str]:
    """A message about a rule, the arguments of its tool in it, and the reply."""
    if rule.tool is None:
        text = rng.choice(rule.asked)
        return text if text in GREETING[1] else with_tail(rng, text), {}, rule.reply
    values = [value_of(rng, kind) for kind in rule.tool.kinds]
    arguments = dict(zip(rule.tool.parameters, values, strict=True))
    if not complete:
        first = next(iter(arguments))
        return rng.choice(rule.tool.without), dict.fromkeys(arguments, MISSING), reply_missing(first)
    text = rng.choice(rule.asked).format(*values)
    result = a_result(rng, rule.tool, arguments)
    agent.results[rule.tool.name].append({"when": dict(arguments), "data": result})
    return text[0].upper() + text[1:] if rng.random() < 0.8 else text, arguments, reply_with(arguments, result)


def a_conversation(rng: random.Random, agent: Agent) -> Conversation:
    lines: list[dict[str, Any]] = []
    applied: list[str] = []
    names = list(agent.guidelines)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3))):
        if rng.random() < 0.25:
            asked, reply = rng.choice(SMALL_TALK)
            lines += [{"customer": asked}, {"agent": reply}]
            continue
        name = rng.choice(names)
        rule = agent.guidelines[name]
        asked, arguments, reply = _use(rng, agent, rule)
        lines.append({"customer": asked})
        if rule.tool:
            lines.append({"called": {"tool": rule.tool.name, "with": arguments}})
        if rng.random() < 0.3:
            lines.insert(-1 if rule.tool else len(lines), {"agent": rng.choice(("Let me see", "Got it", "Hello"))})
        lines.append({"agent": reply})
        if name not in applied and rng.random() < 0.6:
            applied.append(name)
    draw = rng.random()
    if draw < 0.13:
        return _off_topic(rng, agent, lines, applied)
    name = rng.choice(names)
    tools = [each for each in names if agent.guidelines[each].tool]
    if tools and rng.random() < 0.35:
        name = rng.choice(tools)
    rule = agent.guidelines[name]
    if rule.tool and draw < 0.25:
        return _asked_for_it(rng, agent, lines, applied, name)
    complete = not (rule.tool and draw < 0.33)
    asked, arguments, _ = _use(rng, agent, rule, complete=complete)
    key = Key({name}, asked, UNKNOWN_REPLY)
    if rule.tool:
        key.calls[rule.tool.name] = arguments
    others = [each for each in names if each != name and agent.guidelines[each].asked[0] != "Hello!"]
    if others and draw > 0.9:
        second = rng.choice(others)
        more, arguments, _ = _use(rng, agent, agent.guidelines[second])
        asked = rng.choice(_THEN).format(a=asked, b=more)
        key.applies.add(second)
        if tool := agent.guidelines[second].tool:
            key.calls[tool.name] = arguments
    elif rng.random() < 0.15 and rule.asked[0] != "Hello!":
        asked = (
            f"{rng.choice(('Thank you.', 'Thanks!', 'Okay.', 'I see.', 'Great, thanks.', 'All right.', 'Hm.'))} {asked}"
        )
    elif rng.random() < 0.12 and not any(each.asked[0] == "Hello!" for each in agent.guidelines.values()):
        asked = f"{rng.choice(('Hello!', 'Hi,', 'Good morning.', 'Hey,'))} {asked}"
    key.said = asked
    return Conversation([*lines, {"customer": asked}], applied, key)


def _off_topic(rng: random.Random, agent: Agent, lines: list[dict[str, Any]], applied: list[str]) -> Conversation:
    greets = any(rule.asked[0] == "Hello!" for rule in agent.guidelines.values())
    if rng.random() < 0.5:
        asked, reply = rng.choice([pair for pair in SMALL_TALK if not (greets and pair[1].startswith("Hello"))])
        if any(asked in rule.asked for rule in agent.guidelines.values()) or any(
            "thank" in rule.when or "bye" in rule.when for rule in agent.guidelines.values()
        ):
            asked, reply = "Hm, let me think.", "How else can I help you?"
    else:
        other = a_tool(rng).topic if rng.random() < 0.3 else a_topic(rng)
        asked, reply = rng.choice(other.asked).format(*(an_id(rng), a_date(rng))), UNKNOWN_REPLY
        if any(other.about == rule_about(rule) for rule in agent.guidelines.values()):
            asked, reply = "Hm, let me think.", "How else can I help you?"
    return Conversation([*lines, {"customer": asked}], applied, Key(set(), asked, reply))


def rule_about(rule: Guideline) -> str:
    return rule.tool.topic.about if rule.tool else rule.when.rsplit(" ", 1)[-1]


def _asked_for_it(
    rng: random.Random, agent: Agent, lines: list[dict[str, Any]], applied: list[str], name: str
) -> Conversation:
    """The agent asked for what was missing; the customer gives it."""
    rule = agent.guidelines[name]
    assert rule.tool
    asked, _, reply = _use(rng, agent, rule, complete=False)
    values = [value_of(rng, kind) for kind in rule.tool.kinds]
    arguments = dict(zip(rule.tool.parameters, values, strict=True))
    agent.results[rule.tool.name].append({"when": dict(arguments), "data": a_result(rng, rule.tool, arguments)})
    given = " and ".join(values)
    answer = rng.choice(
        (
            "It's {v}.",
            "{v}",
            "It is {v}",
            "{v}, I think.",
            "Sure, {v}.",
            "Sorry, {v}.",
            "The {p} is {v}.",
            "Here it is: {v}",
        )
    ).format(v=given, p=next(iter(arguments)).replace("_", " "))
    key = Key({name}, f"{asked} {answer}", UNKNOWN_REPLY, {rule.tool.name: arguments})
    return Conversation([*lines, {"customer": asked}, {"agent": reply}, {"customer": answer}], applied, key)
