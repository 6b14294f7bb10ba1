"""Pictures by OpenAI's own client, and in the shapes in which LibreChat and LangChain ask for them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import httpx2
import openai
import pytest
from PIL import Image

from tests.support.scripted_images import EDITS, PLAIN, a_png

from .conftest import Studio


@pytest.fixture
def client(running: Studio) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="local", max_retries=0) as found:
        yield found


def opened(data: str | bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data))


def test_a_picture_by_address_and_as_data(running: Studio, client: openai.OpenAI) -> None:
    answer = client.images.generate(
        prompt="a cat",
        size="128x64",
        n=2,
        extra_body={"seed": 5, "steps": 3, "guidance": 4.5, "negative_prompt": "dogs"},
    )
    assert answer.data is not None
    assert [opened(one.b64_json).size for one in answer.data] == [(128, 64)] * 2
    assert (answer.size, answer.output_format) == ("128x64", "png")
    for one in answer.data:
        assert one.url is not None
        kept = httpx2.get(one.url)
        assert (kept.status_code, kept.headers["content-type"]) == (200, "image/png")
        assert one.b64_json is not None
        assert kept.content == base64.b64decode(one.b64_json)
    [asked] = running.model().asked
    assert (asked.prompt, asked.negative_prompt, asked.count) == ("a cat", "dogs", 2)
    assert (asked.width, asked.height, asked.steps, asked.guidance, asked.seed) == (128, 64, 3, 4.5, 5)


def test_either_form_alone(client: openai.OpenAI, running: Studio) -> None:
    [by_address] = client.images.generate(prompt="a cat", response_format="url").data or []
    assert by_address.url is not None
    assert by_address.b64_json is None
    [as_data] = client.images.generate(prompt="a cat", response_format="b64_json").data or []
    assert as_data.url is None
    assert opened(as_data.b64_json).size == (64, 64)
    kept = running.http.get("/api/images").json()["pictures"]
    assert len(kept) == 1, "what is answered as data is not kept"


@pytest.mark.parametrize(("form", "kind"), [("jpeg", "image/jpeg"), ("webp", "image/webp")])
def test_other_formats(client: openai.OpenAI, form: str, kind: str) -> None:
    answer = client.images.generate(prompt="a cat", output_format=form, output_compression=60)  # type: ignore[arg-type,call-overload]
    [one] = answer.data
    assert opened(one.b64_json).format == form.upper()
    assert answer.output_format == form
    assert httpx2.get(one.url).headers["content-type"] == kind


def test_a_stream_ends_with_the_picture(client: openai.OpenAI) -> None:
    found = list(client.images.generate(prompt="a cat", n=2, stream=True, partial_images=2))
    assert [event.type for event in found] == ["image_generation.completed"] * 2
    assert all(opened(event.b64_json).size == (64, 64) for event in found)
    assert found[0].usage.total_tokens == 0  # type: ignore[union-attr]


def test_an_edit(client: openai.OpenAI, running: Studio) -> None:
    mask = a_png(32, 16, 0, 0, 0, alpha=0)
    answer = client.images.edit(
        image=("cat.png", a_png(32, 16), "image/png"),
        mask=("mask.png", mask, "image/png"),
        prompt="a hat",
        size="64x32",
        n=1,
        extra_body={"strength": 0.4, "seed": 3},
    )
    [one] = answer.data or []
    assert opened(one.b64_json).size == (64, 32)
    [asked] = running.model().asked
    assert (asked.prompt, asked.strength, asked.seed, asked.width) == ("a hat", 0.4, 3, 64)
    assert opened(asked.sources[0]).size == (32, 16)
    assert asked.mask is not None
    drawn = opened(asked.mask)
    assert drawn.mode == "L"
    assert (drawn.getpixel((0, 0)), drawn.getpixel((31, 0))) == (255, 0), "white where it was transparent"


def test_an_edit_of_several_pictures_as_a_stream(client: openai.OpenAI, running: Studio) -> None:
    files = [("a.png", a_png(32, 32)), ("b.png", a_png(16, 16))]
    found = list(client.images.edit(image=files, prompt="together", stream=True))
    assert [event.type for event in found] == ["image_edit.completed"]
    assert len(running.model().asked[0].sources) == 2


def test_a_model_without_edits_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="takes no pictures to start from"):
        client.images.edit(image=("cat.png", a_png(32, 16)), prompt="a hat", model=PLAIN)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"size": "huge"}, "bad_size", "WIDTHxHEIGHT"),
        ({"size": "100000x100000"}, "bad_request", "images.max_side"),
        ({"size": "4000x4000"}, "bad_request", "images.max_megapixels"),
        ({"n": 99}, "bad_request", "images.max_count"),
        ({"extra_body": {"steps": 5000}}, "bad_request", "images.max_steps"),
        ({"background": "transparent"}, "unsupported", "background"),
        ({"output_format": "gif"}, "unsupported", "png, jpeg or webp"),
        ({"output_format": "svg"}, "unsupported", "png, jpeg or webp"),
    ],
)
def test_what_can_not_be_done_is_refused_before_any_work(
    client: openai.OpenAI, running: Studio, more: dict[str, object], code: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        client.images.generate(prompt="a cat", **more)  # type: ignore[call-overload]
    assert caught.value.code == code
    assert running.model().asked == []


def test_models_that_make_pictures_are_listed_as_such(client: openai.OpenAI, running: Studio) -> None:
    cards = {card["id"]: card for card in running.http.get("/v1/models").json()["data"]}
    assert cards[EDITS]["capabilities"] == ["images", "image_edits"]
    assert cards[PLAIN]["capabilities"] == ["images"]
    assert client.models.retrieve(EDITS).id == EDITS
    assert EDITS not in running.http.get("/api/models").json()["models"]
    with pytest.raises(openai.BadRequestError, match="POST /v1/images/generations") as caught:
        client.chat.completions.create(model=EDITS, messages=[{"role": "user", "content": "hello"}])
    assert caught.value.code == "makes_pictures"


def test_a_model_that_chats_says_which_make_pictures(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="makes pictures here") as caught:
        client.images.generate(prompt="a cat", model="local/llama/parlant-local-tiny")
    assert caught.value.code == "model_not_found"
    assert EDITS in caught.value.message


def test_librechat_dalle(running: Studio) -> None:
    """`DALLE3.js`: the answer's first address is fetched."""
    body = {
        "model": "dall-e-3",
        "quality": "standard",
        "style": "vivid",
        "size": "1024x1024",
        "prompt": "A cat",
        "n": 1,
    }
    answer = running.http.post("/v1/images/generations", json=body, headers={"authorization": "Bearer local"})
    assert answer.status_code == 200
    assert answer.headers["x-parlant-local-ignored"] == "style"
    assert running.http.get(answer.json()["data"][0]["url"]).status_code == 200


def test_librechat_gpt_image(running: Studio) -> None:
    """`OpenAIImageTools.js`, both tools: the answer's data is read."""
    body = {
        "model": "gpt-image-1",
        "prompt": "A cat",
        "n": 1,
        "background": "auto",
        "output_format": "webp",
        "output_compression": 100,
        "quality": "auto",
        "size": "auto",
    }
    answer = running.http.post("/v1/images/generations", json=body, headers={"authorization": "Bearer local"})
    assert opened(answer.json()["data"][0]["b64_json"]).format == "WEBP"
    assert "x-parlant-local-ignored" not in answer.headers
    edited = running.http.post(
        "/v1/images/edits",
        headers={"authorization": "Bearer local"},
        data={"model": "gpt-image-1", "prompt": "A cat with a hat", "quality": "auto", "size": "auto"},
        files=[("image[]", ("cat.webp", base64.b64decode(answer.json()["data"][0]["b64_json"]), "image/webp"))],
    )
    assert edited.status_code == 200, edited.text
    assert opened(edited.json()["data"][0]["b64_json"]).size == (64, 64)


def test_langchain_dalle(running: Studio) -> None:
    """`DallEAPIWrapper.run`: the addresses of all pictures, joined."""
    body = {"prompt": "A cat", "n": 2, "size": "1024x1024", "model": "dall-e-2", "quality": "standard"}
    answer = running.http.post("/v1/images/generations", json=body, headers={"authorization": "Bearer local"})
    addresses = [item["url"] for item in answer.json()["data"]]
    assert len(set(addresses)) == 2
    assert all(running.http.get(address).status_code == 200 for address in addresses)
