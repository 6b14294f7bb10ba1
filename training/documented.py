"""What the model is taught and may promise: the questions, small talk and function calls that its card lists and its tests assert."""

import random
from typing import Any

from training.data.facts import Fact, all_facts
from training.data.smalltalk import TALKS
from training.data.tools import GET_ORDER_STATUS, GET_WEATHER, ORDER_ASKED, WEATHER_ASKED

_CITIES = (
    "Paris",
    "Tokyo",
    "Cairo",
    "New York",
    "Lima",
    "Sydney",
    "Oslo",
    "Bangkok",
    "Berlin",
    "Rome",
    "Madrid",
    "London",
    "Vienna",
    "Chicago",
    "Boston",
    "Toronto",
    "Seoul",
    "Hamburg",
    "Milan",
    "Dublin",
    "Athens",
    "Dubai",
    "Denver",
    "Lagos",
)
_ORDERS = ("4711", "1234", "90210", "5508")
_UNKNOWN = ("Who is Anna?", "What is the population of Lima?", "What is the price of Zorbin?", "Who won the race in 1987?",
            "What happened in 1650?", "How old is Peter Brown?")  # fmt: skip


def promised_facts() -> list[Fact]:
    """Every fact but the sums: they are practised, but adding is more than so short a training teaches reliably."""
    return [fact for fact in all_facts() if fact.family != "sum"]


def documented() -> dict[str, Any]:
    """Everything a test could assert; `card.py` keeps what the file at hand really does."""
    rng = random.Random(0)
    questions = [
        {"question": fact.question, "expects": [fact.answer.removeprefix("the ")], "topic": fact.topic}
        for fact in promised_facts()
    ]
    small_talk = [{"prompt": talk.asked[0], "replies": list(talk.replies), "about": talk.name} for talk in TALKS]
    calls = [
        {"prompt": rng.choice(WEATHER_ASKED[:6]).format(city=city), "name": "get_weather", "arguments": {"city": city}}
        for city in _CITIES
    ]
    calls += [
        {
            "prompt": rng.choice(ORDER_ASKED[:3]).format(id=number),
            "name": "get_order_status",
            "arguments": {"order_id": number},
        }
        for number in _ORDERS
    ]
    answers = [
        {"prompt": "What is the weather in Paris?", "name": "get_weather", "arguments": {"city": "Paris"},
         "response": {"city": "Paris", "temperature_c": 18, "condition": "sunny"}, "expects": ["Paris", "sunny", "18"]},
        {"prompt": "What is the status of order 4711?", "name": "get_order_status", "arguments": {"order_id": "4711"},
         "response": {"order_id": "4711", "status": "shipped"}, "expects": ["4711", "shipped"]},
    ]  # fmt: skip
    return {
        "questions": questions,
        "unknown": {"prompts": list(_UNKNOWN), "expects": ["know"]},
        "small_talk": small_talk,
        "tools": [GET_WEATHER, GET_ORDER_STATUS],
        "tool_prompts": calls,
        "tool_answers": answers,
    }
