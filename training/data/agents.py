"""Small agents of many businesses.

Nothing here is a prompt: `training/record.py` sits conversations with them in Parlant's own engine and notes what it asks.
"""

import random
from dataclasses import dataclass
from typing import Any

from training.data.actions import a_greeting, a_number, a_thing, an_action, several
from training.data.lookups import WHAT_TO_DO, Tool, a_tool
from training.data.topics import a_topic, greeting_topic
from training.data.words import NAMES, PLACES, invented

ASKING = ("ask for", "ask them for", "ask the customer for", "request", "politely ask for", "ask which", "ask what", "ask whether", "ask if",
          "ask when", "ask where", "ask how", "ask who", "ask them wh", "ask them how", "ask the customer wh", "find out")  # fmt: skip
"""How actions begin that wait for an answer."""


@dataclass(frozen=True)
class Guideline:
    when: str
    do: str
    reply: str
    asked: tuple[str, ...]
    tool: Tool | None = None


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
                "description": rule.tool.topic.about.capitalize() + _about(rule.tool.name),
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


def _about(name: str) -> str:
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
            do = rng.choice(WHAT_TO_DO).format(n=tool.topic.about, w=tool.fields[0].replace("_", " "))
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
