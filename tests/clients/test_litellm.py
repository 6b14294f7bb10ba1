"""litellm drives the server as an OpenAI-compatible one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clients.conftest import Told
from tests.server.conftest import TINY

pytestmark = pytest.mark.evidence


@pytest.fixture(scope="module")
def told(ask: Callable[[str], Told]) -> Told:
    return ask("litellm_client.py")


def test_it_chats(told: Told) -> None:
    assert "Paris" in told["chat"]["content"]
    assert told["chat"]["finish"] == "stop"
    assert told["chat"]["model"] == TINY
    assert told["chat"]["total"] > 10


def test_it_streams_what_it_would_have_got_whole(told: Told) -> None:
    assert len(told["stream"]["pieces"]) > 3
    assert "".join(told["stream"]["pieces"]) == told["stream"]["content"] == told["chat"]["content"]
    assert told["stream"]["total"] == told["chat"]["total"]


def test_it_asks_several_things_at_once(told: Told) -> None:
    assert len(told["several"]) == 6
    assert set(told["several"]) <= {"stop", "length"}


def test_it_gets_tool_calls_whole_and_in_pieces_and_gives_results_back(told: Told) -> None:
    tools = told["tools"]
    assert tools["finish"] == "tool_calls"
    name, arguments = tools["whole"]
    assert name == "get_weather"
    assert set(arguments) == {"city"}
    assert tools["streamed"] == [tools["whole"]]
    assert tools["after"] in ("stop", "length", "tool_calls")


def test_it_gets_what_fits_a_schema(told: Told) -> None:
    assert set(told["structured"]["model"]) == {"city", "is_capital"}
    assert isinstance(told["structured"]["object"], dict)


def test_it_gets_vectors_and_ranks(told: Told) -> None:
    first, second = told["vectors"]["dimensions"]
    assert first == second > 0
    assert told["vectors"]["apart"] < 1e-6
    assert told["vectors"]["tokens"] > 0
    assert told["ranked"][0] == 1
    assert len(told["ranked"]) == 2


def test_it_completes_text(told: Told) -> None:
    assert "Paris" in told["text"]["whole"]
    assert told["text"]["streamed"] == told["text"]["whole"]


def test_it_tells_failures_apart(told: Told) -> None:
    kinds = {name: (error["kind"], error["status"]) for name, error in told["errors"].items()}
    assert kinds == {
        "model": ("NotFoundError", 404),
        "key": ("AuthenticationError", 401),
        "long": ("ContextWindowExceededError", 400),
        "long stream": ("ContextWindowExceededError", 400),
        "value": ("BadRequestError", 422),
        "image": ("BadRequestError", 400),
    }
    assert TINY in told["errors"]["model"]["text"]
    assert "engine.n_ctx" in told["errors"]["long"]["text"]


@pytest.mark.parametrize("how", ["cancellation", "cancellation of a task"])
def test_what_it_gives_up_ends_in_the_engine_too(told: Told, how: str) -> None:
    assert told[how] == {"idle": True, "cancelled": 1}
