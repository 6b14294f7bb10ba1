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


PICTURE_PARTS: dict[str, dict[str, Any]] = {
    "openai": {"type": "image_url", "image_url": {"url": URI}},
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG64}},
    "mcp": {"type": "image", "data": PNG64, "mimeType": "image/png"},
    "ai-sdk": {"type": "media", "data": PNG64, "mediaType": "image/png"},
    "langchain": {"type": "image", "base64": PNG64, "mime_type": "image/png"},
    "responses": {"type": "input_image", "image_url": URI},
}
AT = MediaPart("image", PNG, 6, "image/png")


@pytest.mark.parametrize("part", PICTURE_PARTS.values(), ids=PICTURE_PARTS)
def test_a_result_of_a_tool_holds_a_picture(part: dict[str, Any]) -> None:
    content = [{"type": "text", "text": "Here: "}, part, {"type": "text", "text": "done"}]
    told: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": "c1", "content": content},
        {"role": "tool", "tool_call_id": "c1", "content": {"content": content, "isError": False}},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": content}]},
        {"type": "function_call_output", "call_id": "c1", "output": content},
    ]
    for given in told:
        [message] = as_messages(given)
        assert (message.role, message.tool_call_id, message.content) == ("tool", "c1", "Here: done"), given
        assert message.media == (AT,), given
    assert as_messages(message.to_openai()) == (message,)


def test_a_result_that_failed_and_one_in_the_ai_sdks_form() -> None:
    content = [{"type": "text", "text": "Here: "}, PICTURE_PARTS["anthropic"]]
    part = {"type": "tool_result", "tool_use_id": "c1", "content": content, "is_error": True}
    for given in (
        {"role": "user", "content": [part]},
        {"role": "tool", "content": {"content": content, "isError": True}},
    ):
        [message] = as_messages(given)
        assert message.parts == ["Error: Here: ", MediaPart("image", PNG, 13, "image/png")]
    output = {"type": "content", "value": [{"type": "text", "text": "Here: "}, PICTURE_PARTS["ai-sdk"]]}
    result = {"type": "tool-result", "toolCallId": "c1", "toolName": "shot", "output": output}
    [message] = as_messages({"role": "tool", "content": [result]})
    assert (message.name, message.media) == ("shot", (AT,))


def test_plain_values_of_tools_stay_json() -> None:
    values: list[dict[str, Any]] = [
        {"content": [{"type": "text", "text": "x"}]},
        {"content": []},
        {"isError": True},
        {"content": "x"},
    ]
    for value in values:
        [message] = as_messages({"role": "tool", "tool_call_id": "c1", "content": value})
        assert message.media == ()
        assert message.content is not None
        assert message.content.startswith("{")
