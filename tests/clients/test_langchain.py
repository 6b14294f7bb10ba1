"""LangChain's ChatOpenAI, OpenAI and OpenAIEmbeddings drive the server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clients.conftest import Told
from tests.server.conftest import TINY

pytestmark = pytest.mark.evidence


@pytest.fixture(scope="module")
def told(ask: Callable[[str], Told]) -> Told:
    return ask("langchain_client.py")


def test_it_chats_alone_in_a_chain_and_in_batches(told: Told) -> None:
    chat = told["chat"]
    for text in (chat["content"], chat["chain"], *chat["batch"]):
        assert "Paris" in text
    assert len(chat["batch"]) == 4
    assert chat["system"]
    assert (chat["model"], chat["finish"]) == (TINY, "stop")
    assert chat["usage"] > 10


def test_it_streams_what_it_would_have_got_whole(told: Told) -> None:
    stream = told["stream"]
    assert len(stream["pieces"]) > 3
    assert "".join(stream["pieces"]) == stream["content"] == told["chat"]["content"] == told["stream async"]
    assert stream["usage"] > 10
    assert stream["finish"] == "stop"


def test_it_gets_tool_calls_whole_and_in_pieces_and_gives_results_back(told: Told) -> None:
    tools = told["tools"]
    ((name, arguments),) = tools["whole"]
    assert name == "get_weather"
    assert set(arguments) == {"city"}
    assert tools["streamed"] == tools["whole"]
    assert tools["named"] == ["get_weather"]
    assert tools["after"] in ("stop", "length", "tool_calls")


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_it_gets_what_fits_a_schema(told: Told, method: str) -> None:
    found = told["structured"][method]
    assert set(found) == {"city", "is_capital"}
    assert len(found["city"]) <= 20
    assert isinstance(found["is_capital"], bool)


def test_it_gets_any_json_object(told: Told) -> None:
    assert isinstance(told["structured"]["json_mode"], dict)


def test_it_gets_vectors(told: Told) -> None:
    first, second = told["vectors"]["dimensions"]
    assert first == second > 16 == told["vectors"]["short"]
    assert told["vectors"]["apart"] < 1e-5


def test_it_completes_text(told: Told) -> None:
    assert "Paris" in told["text"]["whole"]
    assert told["text"]["streamed"] == told["text"]["whole"]


def test_it_tells_failures_apart(told: Told) -> None:
    errors = told["errors"]
    wanted = {
        "model": ("ModelNotFoundError", 404),
        "key": ("ModelAuthenticationError", 401),
        "long": ("ContextOverflowError", 400),
        "long stream": ("ContextOverflowError", 400),
        "value": ("UnprocessableEntityError", 422),
    }
    for name, (kind, status) in wanted.items():
        assert errors[name]["status"] == status, errors[name]
        assert kind in errors[name]["kinds"], errors[name]
    assert TINY in errors["model"]["text"]


@pytest.mark.parametrize("how", ["cancellation", "cancellation of a task"])
def test_what_it_gives_up_ends_in_the_engine_too(told: Told, how: str) -> None:
    assert told[how] == {"idle": True, "cancelled": 1}
