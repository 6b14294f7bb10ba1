"""The whole way: a client, this server, an endpoint that draws (a stand-in of sd-server), the gallery."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import openai

from tests.server.conftest import TINY
from tests.support.eventually import wait_until
from tests.support.in_process import InProcess
from tests.support.scripted_images import a_png
from tests.support.sd_server import SdServer


async def test_an_endpoint_draws_for_clients_of_this_server(here: Callable[..., InProcess]) -> None:
    async with SdServer() as drawing:
        server = here(**{"endpoints.sd.base_url": drawing.url, "images.model": "sd", "model": TINY})
        await in_thread(lambda: _asked(server))


async def in_thread(work: Callable[[], None]) -> None:
    import asyncio

    await asyncio.to_thread(work)


def _asked(server: InProcess) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0) as client:
        [drawn] = client.images.generate(prompt="a cat", size="64x64", extra_body={"seed": 5}).data or []
        assert drawn.url is not None
        assert httpx2.get(drawn.url).content.startswith(b"\x89PNG")
        [edited] = client.images.edit(image=("cat.png", a_png(64, 64)), prompt="a hat", size="64x64").data or []
        assert edited.b64_json
        cards = {card.id for card in client.models.list()}
        assert "sd" in cards
        assert TINY in cards
    job = httpx2.post(f"{server.url}/api/images", json={"prompt": "a cat", "width": 64, "height": 64}).json()
    address = f"{server.url}/api/images/{job['id']}"
    wait_until(lambda: httpx2.get(address).json()["state"] == "done", lambda: httpx2.get(address).text)
    assert len(httpx2.get(f"{server.url}/api/images").json()["pictures"]) == 3


def test_nothing_leaves_the_machine_unless_it_may(here: Callable[..., InProcess]) -> None:
    server = here(
        **{"endpoints.far.base_url": "https://images.example.org/v1", "images.model": "far/one", "model": TINY}
    )
    for path in ("/v1/images/generations", "/api/generate-image"):
        answer = httpx2.post(server.url + path, json={"prompt": "a cat"}, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cloud_not_allowed")
        assert "ALLOW_CLOUD" in answer.json()["error"]["message"]
