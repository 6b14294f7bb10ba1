"""Pictures over HTTP: in OpenAI's form by its own client, and in Ollama's; a model without eyes answers 400."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from parlant_local.settings import EngineSettings, Settings
from tests.backends.test_seeing import picture
from tests.server.seeing_shapes import SHAPES
from tests.support import gguf_models, projectors
from tests.support.in_process import InProcess, serving_here

TINY_ID = "local/llama/parlant-local-tiny"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "seeing"
    folder.mkdir(parents=True)
    projectors.vision(folder / "mmproj-seeing.gguf")
    gguf_models.llama(folder / "seeing.gguf", tied=False)
    with serving_here(Settings(home=home, engine=EngineSettings(n_ctx=1024))) as running:
        yield running


def uri(seed: int) -> str:
    return "data:image/png;base64," + base64.b64encode(picture(seed=seed)).decode()


def seen(client: openai.OpenAI, model: str, seed: int) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(
        model=model,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it? "},
                    {"type": "image_url", "image_url": {"url": uri(seed), "detail": "low"}},
                ],
            }
        ],
        temperature=0,
        max_tokens=8,
    )


def test_by_openais_client(server: InProcess) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        model = next(each.id for each in client.models.list().data if each.id.endswith("/seeing"))
        one, other, again = (seen(client, model, seed) for seed in (1, 2, 1))
        assert one.choices[0].message.content == again.choices[0].message.content != other.choices[0].message.content
        assert one.usage is not None
        with pytest.raises(openai.BadRequestError, match="reads no pictures"):
            seen(client, TINY_ID, 1)


def test_a_client_that_asks_to_fetch_is_refused(server: InProcess) -> None:
    part = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}
    body = {"model": TINY_ID, "messages": [{"role": "user", "content": [part]}]}
    answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 400
    assert "on a client's word" in answer.json()["error"]["message"]


@pytest.mark.parametrize("shape", SHAPES)
def test_in_the_shape_of_each_client(server: InProcess, shape: str) -> None:
    model = next(
        each["id"] for each in httpx2.get(f"{server.url}/v1/models").json()["data"] if each["id"].endswith("/seeing")
    )

    def told(seed: int) -> str:
        body = {"model": model, "messages": SHAPES[shape](uri(seed)), "temperature": 0, "max_tokens": 8}
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["prompt_tokens"] > 16
        return str(answer.json()["choices"][0]["message"]["content"])

    assert told(1) == told(1) != told(2)


def test_openais_client_streams_it_and_shows_a_tools(server: InProcess) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        model = next(each.id for each in client.models.list().data if each.id.endswith("/seeing"))
        whole = seen(client, model, 1).choices[0].message.content
        messages: Any = [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it? "},
                    {"type": "image_url", "image_url": {"url": uri(1), "detail": "low"}},
                ],
            }
        ]
        pieces = client.chat.completions.create(
            model=model, messages=messages, temperature=0, max_tokens=8, stream=True
        )
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == whole
        given: Any = SHAPES["LangChain, a tool's"](uri(1))
        told = client.chat.completions.create(model=model, messages=given, temperature=0, max_tokens=8)
        assert told.choices[0].message.content
        with pytest.raises(openai.BadRequestError, match="reads no pictures"):
            client.chat.completions.create(model=TINY_ID, messages=given)
