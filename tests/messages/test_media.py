"""Pictures and sounds in messages, as each client sends them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from parlant_local.errors import BadRequestError
from parlant_local.messages import MediaPart, Message, as_messages

PNG = b"\x89PNG\r\n\x1a\n..."
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt "
PNG64, WAV64 = base64.b64encode(PNG).decode(), base64.b64encode(WAV).decode()
URI = f"data:image/png;base64,{PNG64}"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URI, "detail": "low"}},
        {"type": "image_url", "image_url": URI},
        {"type": "input_image", "image_url": URI},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG64}},
        {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": PNG64},
        {"type": "image", "image": URI, "mediaType": "image/png"},
        {"type": "file", "mediaType": "image/png", "url": URI},
        {"type": "file", "file": {"filename": "a.png", "file_data": URI}},
        {"inlineData": {"mimeType": "image/png", "data": PNG64}},
        {"type": "image", "data": PNG64},
        {"type": "image_url", "image_url": {"url": "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG)}},
    ],
    ids=["openai", "openai, flat", "responses", "anthropic", "langchain", "ai-sdk image", "ai-sdk file", "file", "gemini", "bare", "percent"],
)  # fmt: skip
def test_a_picture_in_the_form_of_each_client(part: dict[str, Any]) -> None:
    [message] = as_messages({"role": "user", "content": [{"type": "text", "text": "Look: "}, part, " What is it?"]})
    assert message.content == "Look:  What is it?"
    assert message.media == (MediaPart("image", PNG, 6, "image/png"),)
    assert message.parts == ["Look: ", message.media[0], " What is it?"]


def test_sounds_and_what_ollamas_clients_put_beside_the_text() -> None:
    part = {"type": "input_audio", "input_audio": {"data": WAV64, "format": "wav"}}
    [message] = as_messages({"role": "user", "content": [part, {"type": "text", "text": "?"}]})
    assert message.media == (MediaPart("audio", WAV, 0, "audio/wav"),)
    [message] = as_messages({"role": "user", "content": "What?", "images": [PNG64]})
    assert message.parts == [MediaPart("image", PNG, 0, "image/png"), "What?"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "would have to be fetched"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "would have to be fetched"),
        ({"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x"}}, "would have to be fetched"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,!!!"}}, "not base64"),
        ({"type": "image_url", "image_url": {}}, "has no data"),
        ({"type": "file", "mediaType": "application/pdf", "data": PNG64}, "application/pdf"),
        ({"type": "file", "file_id": "f-1"}, "has no data"),
        ({"type": "video_url", "video_url": {"url": URI}}, "video_url"),
    ],
    ids=str,
)
def test_what_is_not_read_is_named(part: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        as_messages({"role": "user", "content": [part]})


def test_it_goes_out_as_it_came_in() -> None:
    message = Message.user("ab", MediaPart("image", PNG, 1, "image/png"), MediaPart("audio", WAV, 2, "audio/wav"))
    [again] = as_messages(message.to_openai())
    assert again == message
    assert "PNG" not in repr(message)
