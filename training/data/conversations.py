"""Conversations with made-up agents, and what is right in the next turn."""

import random
from dataclasses import dataclass, field
from typing import Any

from training.data.agents import Agent, Guideline
from training.data.lookups import a_result, a_tool, reply_missing, reply_with
from training.data.topics import GREETING, SMALL_TALK, UNKNOWN_REPLY, a_topic, with_tail
from training.data.values import a_date, an_id, value_of

MISSING = "<<__missing__>>"
_THEN = ("{a} Also, {b}", "{a} And {b}", "{a} {b}", "{a} One more thing: {b}")


@dataclass
class Key:
    """What is right in a turn."""

    applies: set[str]
    said: str
    """The words of the customer that the turn is about."""
    fallback: str
    calls: dict[str, dict[str, str]] = field(default_factory=dict)
    """By tool; a missing argument has Parlant's own mark."""


@dataclass
class Conversation:
    """One case for the engine, and its key."""

    lines: list[dict[str, Any]]
    applied: list[str]
    key: Key


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
