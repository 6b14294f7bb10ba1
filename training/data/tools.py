"""Function calls: two documented functions, and made-up ones so that names and arguments are copied, not remembered."""

import json
import random
from typing import Any

from training.chat import Sample, chat
from training.data.systems import system_prompt
from training.data.talk import any_exchange
from training.data.words import NAMES, NOUNS, PLACES, identifier, invented

GET_WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The name of the city."}},
            "required": ["city"],
        },
    },
}
GET_ORDER_STATUS: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_order_status",
        "description": "Get the status of an order.",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string", "description": "The number of the order."}},
            "required": ["order_id"],
        },
    },
}

WEATHER_ASKED = (
    "What is the weather in {city}?", "What's the weather like in {city}?", "How is the weather in {city}?", "weather in {city}",
    "Is it raining in {city}?", "Tell me the weather in {city}.", "Do I need an umbrella in {city}?", "How warm is it in {city}?",
    "What is the temperature in {city}?", "Is it cold in {city} today?", "Please check the weather in {city}.",
    "I am going to {city}. What is the weather there?", "Will I need a coat in {city}?", "What is the weather in {city} today?",
)  # fmt: skip
ORDER_ASKED = (
    "Where is my order {id}?", "What is the status of order {id}?", "Can you check order {id}?", "order {id}",
    "Has order {id} been shipped?", "I am waiting for order {id}.", "Please look up order {id}.", "My order number is {id}.",
)  # fmt: skip
_CONDITIONS = ("sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear", "stormy")
_STATES = ("shipped", "delivered", "in preparation", "cancelled", "on its way", "delayed")
_VERBS = (
    "get",
    "find",
    "create",
    "delete",
    "update",
    "send",
    "book",
    "cancel",
    "list",
    "check",
    "open",
    "start",
    "search",
)


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """A call as the template shows it."""
    body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def _city(rng: random.Random) -> str:
    if rng.random() < 0.75:
        return rng.choice(PLACES)
    return " ".join(invented(rng).capitalize() for _ in range(rng.choice((1, 1, 2))))


def weather_question(rng: random.Random) -> tuple[str, str, dict[str, Any], str, str]:
    """Question, function, arguments, result and answer."""
    city, condition, degrees = _city(rng), rng.choice(_CONDITIONS), rng.randint(-15, 40)
    result: dict[str, Any] = {"city": city, "temperature_c": degrees, "condition": condition}
    if rng.random() < 0.3:
        result = {"temperature_c": degrees, "condition": condition}
    elif rng.random() < 0.2:
        result = {"condition": condition, "temperature_c": degrees, "city": city}
    answer = f"In {city} it is {condition} and {degrees} degrees."
    asked = rng.choice(WEATHER_ASKED).format(city=city)
    return asked, "get_weather", {"city": city}, _dump(rng, result), answer


def order_question(rng: random.Random) -> tuple[str, str, dict[str, Any], str, str]:
    """Question, function, arguments, result and answer."""
    number, state = identifier(rng), rng.choice(_STATES)
    result = {"order_id": number, "status": state}
    asked = rng.choice(ORDER_ASKED).format(id=number)
    return asked, "get_order_status", {"order_id": number}, _dump(rng, result), f"Your order {number} is {state}."


def _dump(rng: random.Random, value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":") if rng.random() < 0.3 else None, ensure_ascii=False)


def _made_up(rng: random.Random) -> tuple[dict[str, Any], str, str, dict[str, Any], str, str]:
    verb, noun = rng.choice(_VERBS), rng.choice(NOUNS) if rng.random() < 0.6 else invented(rng)
    name = f"{verb}_{noun}"
    kinds = {
        "name": ("called", rng.choice(NAMES)), "id": ("with the id", identifier(rng)), "city": ("in", _city(rng)),
        "count": ("times", rng.randint(1, 99)), "owner": ("of", rng.choice(NAMES)), invented(rng): ("with", invented(rng)),
    }  # fmt: skip
    chosen = rng.sample(list(kinds), rng.choice((0, 1, 1, 2)))
    arguments = {key: kinds[key][1] for key in chosen}
    said = " ".join(f"{kinds[key][0]} {kinds[key][1]}" for key in chosen)
    properties = {key: {"type": "integer" if isinstance(value, int) else "string"} for key, value in arguments.items()}
    tool = {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{verb.capitalize()} a {noun}.",
            "parameters": {"type": "object", "properties": properties, "required": list(chosen)},
        },
    }
    asked = f"{rng.choice(('Please ', '', 'I want to ', 'Can you '))}{verb} the {noun} {said}".strip()
    result = rng.choice(({"ok": True}, {"status": "done"}, {"result": "success"}))
    return (
        tool,
        asked[0].upper() + asked[1:] + rng.choice((".", "", "!")),
        name,
        arguments,
        _dump(rng, result),
        "It is done.",
    )


def _shuffled(rng: random.Random, tool: dict[str, Any]) -> dict[str, Any]:
    """The same tool as another program would write it: some sort keys, some add or leave out fields."""
    draw = rng.random()
    if draw < 0.5:
        return tool
    if draw < 0.75:
        return json.loads(json.dumps(tool, sort_keys=True))
    changed = json.loads(json.dumps(tool))
    for schema in changed["function"]["parameters"]["properties"].values():
        schema.pop("description", None)
    return changed


def tool_sample(rng: random.Random) -> Sample:
    """A conversation with functions at hand: called when needed, left alone when not."""
    made_up = _made_up(rng)
    pool = [GET_WEATHER, GET_ORDER_STATUS]
    draw = rng.random()
    if draw < 0.4:
        asked, name, arguments, result, answer = weather_question(rng)
        tools = rng.choice(([GET_WEATHER], [GET_WEATHER], pool, [GET_WEATHER, made_up[0]]))
    elif draw < 0.6:
        asked, name, arguments, result, answer = order_question(rng)
        tools = rng.choice(([GET_ORDER_STATUS], pool, [GET_ORDER_STATUS, made_up[0]]))
    else:
        tool, asked, name, arguments, result, answer = made_up
        tools = rng.choice(([tool], [GET_WEATHER, tool], [tool, _made_up(rng)[0]], [*pool, tool]))
    tools = [_shuffled(rng, tool) for tool in rng.sample(tools, len(tools))]
    turns: list[tuple[str, Any]] = []
    for _ in range(rng.choice((0, 0, 0, 1))):
        other = any_exchange(rng)
        turns += [("user", other.asked), ("assistant", other.sentence)]
    if rng.random() < 0.22:
        other = any_exchange(rng)
        turns += [("user", other.asked), ("assistant", other.sentence)]
    else:
        turns += [("user", asked), ("assistant", call_text(name, arguments))]
        turns += [("tool", result), ("assistant", answer)]
        if rng.random() < 0.3:
            other = any_exchange(rng)
            turns += [("user", other.asked), ("assistant", other.sentence)]
    system = system_prompt(rng) if rng.random() < 0.3 else None
    return chat(turns, system, tools)
