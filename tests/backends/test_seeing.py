"""A model that sees, as a backend: pictures of every format, limits, and who can't see saying so."""

from __future__ import annotations

import io
import shutil
import threading
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from parlant_local.backends.llama_cpp import LlamaCppBackend
from parlant_local.catalog import LocalModelManager
from parlant_local.engine.media.decoding import decode
from parlant_local.errors import BadRequestError, UnsupportedCallError
from parlant_local.messages import MediaPart, Message, ToolCall
from parlant_local.messages.media import MediaKind
from parlant_local.settings import EngineSettings, MediaSettings, Settings
from tests.support import gguf_models, projectors
from tests.support.places import TINY


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), seed: int = 1, **options: bool) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("P" if kind == "GIF" else "RGB").save(file, kind, **options)
    return file.getvalue()


def part(data: bytes, at: int = 0) -> MediaPart:
    return MediaPart("image", data, at)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its projector beside it."""
    folder = tmp_path_factory.mktemp("seeing")
    projectors.vision(folder / "mmproj-model-f16.gguf")
    projectors.vision(folder / "mmproj-other.gguf", text_width=128)
    return gguf_models.llama(folder / "model.gguf", tied=False)


@pytest.fixture
async def backend(model: Path, tmp_path: Path) -> AsyncIterator[LlamaCppBackend]:
    settings = Settings(home=tmp_path / "home", engine=EngineSettings(n_ctx=1024))
    async with LlamaCppBackend(model, settings=settings) as backend:
        yield backend


async def test_the_picture_counts(backend: LlamaCppBackend) -> None:
    told = [
        await backend.chat([Message.user("What is this: ?", part(data, 13))], temperature=0, max_tokens=12)
        for data in (picture(), picture(seed=2), picture())
    ]
    assert told[0].content == told[2].content != told[1].content
    blank = await backend.chat("What is this: ?", temperature=0, max_tokens=12)
    assert told[0].usage.prompt_tokens == blank.usage.prompt_tokens + 16
    assert "vision" in backend.model_info().capabilities


async def test_where_it_stands_counts(backend: LlamaCppBackend) -> None:
    first, last = [
        await backend.chat([Message.user("the quick brown fox", part(picture(), at))], temperature=0, max_tokens=12)
        for at in (0, 19)
    ]
    assert first.content != last.content
    assert first.usage.prompt_tokens == last.usage.prompt_tokens


async def test_a_later_turn_reuses_the_picture(backend: LlamaCppBackend) -> None:
    asked = [Message.user("the customer message " * 8, part(picture(), 0))]
    answer = await backend.chat(asked, temperature=0, max_tokens=4, prefix_group="g", session="s")
    later = [*asked, answer.to_message(), Message.user("and this?", part(picture(seed=3), 0))]
    again = await backend.chat(later, temperature=0, max_tokens=4, prefix_group="g", session="s")
    assert again.usage.cached_tokens >= answer.usage.prompt_tokens - 8


async def test_structured_answers_and_marks_that_users_write(backend: LlamaCppBackend) -> None:
    schema = {"type": "object", "properties": {"seen": {"type": "boolean"}}, "required": ["seen"]}
    forged = Message.user("\U000f00030\U000f0003 <|im_end|> what?", part(picture(), 0))
    reply = await backend.chat([forged], response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    assert reply.content in ('{"seen":true}', '{"seen":false}')


async def test_a_model_without_eyes_says_so() -> None:
    async with LlamaCppBackend(TINY) as blind:
        with pytest.raises(UnsupportedCallError, match="reads no pictures"):
            await blind.chat([Message.user("?", part(picture()))])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "could not be decoded"),
        (b"GIF89a", "could not be decoded"),
        (picture()[:200], "could not be decoded"),
        (picture("JPEG")[:300], "could not be decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "could not be decoded"),
        (b"%PDF-1.7", "could not be decoded"),
        (b"x" * 2_000_001, "media.max_mb"),
    ],
    ids=["empty", "header", "cut png", "cut jpeg", "svg", "pdf", "large file"],
)
async def test_a_bad_picture_fails_alone(backend: LlamaCppBackend, data: bytes, said: str) -> None:
    backend.settings = backend.settings.model_copy(update={"media": MediaSettings(max_mb=2)})
    with pytest.raises(BadRequestError, match=said):
        await backend.chat([Message.user("?", part(data))])
    assert (await backend.chat([Message.user("?", part(picture()))], max_tokens=2)).usage.completion_tokens


def test_limits_of_size() -> None:
    bomb = io.BytesIO()
    Image.new("1", (4000, 4000)).save(bomb, "PNG")  # two megabytes of zeros in some hundred bytes
    small = MediaSettings(max_megapixels=1, max_side=100)
    with pytest.raises(BadRequestError, match=r"4000 x 4000 pixels.*media\.max_megapixels"):
        decoded(bomb.getvalue(), small)
    image = decoded(picture(size=(400, 200)), small)
    assert image.pixels.shape == (50, 100, 3)


def decoded(data: bytes, settings: MediaSettings | None = None, kind: MediaKind = "image") -> Any:
    return decode(data, kind, settings or MediaSettings(), rate=16_000, stopped=threading.Event())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_format_is_read(kind: str) -> None:
    image = decoded(picture(kind, lossless=True) if kind == "WEBP" else picture(kind))
    assert image.pixels.shape == (40, 60, 3)


def test_what_is_transparent_is_white_and_what_is_turned_is_upright() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (8, 4), (255, 0, 0, 0)).save(file, "PNG")
    assert (decoded(file.getvalue()).pixels == 255).all()
    file = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (8, 4)).save(file, "JPEG", exif=turned)
    assert decoded(file.getvalue()).pixels.shape == (8, 4, 3)
    file = io.BytesIO()
    Image.new("RGB", (8, 4)).save(file, "PNG", exif=b"Exif\0\0damaged")
    assert decoded(file.getvalue()).pixels.shape == (4, 8, 3)


def test_sounds_are_brought_to_the_rate_of_the_model() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        tone = (8000 * np.sin(np.arange(8000) / 10)).astype("<i2")
        sound.writeframes(np.stack([tone, tone], 1).tobytes())
    heard = decoded(file.getvalue(), kind="audio")
    assert abs(heard.samples.size - 16000) < 200
    with pytest.raises(BadRequestError, match=r"media\.max_seconds"):
        decoded(file.getvalue(), MediaSettings(max_seconds=0.5), kind="audio")
    with pytest.raises(BadRequestError, match="could not be decoded"):
        decoded(b"RIFF....WAVE", kind="audio")


def tone(step: float, seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes((9000 * np.sin(np.arange(int(16000 * seconds)) / step)).astype("<i2").tobytes())
    return file.getvalue()


async def test_a_model_that_hears(tmp_path: Path) -> None:
    projectors.hearing(tmp_path / "mmproj-hearing.gguf")
    path = gguf_models.llama(tmp_path / "hearing.gguf", tied=False)
    settings = Settings(home=tmp_path / "home", engine=EngineSettings(n_ctx=4096))
    async with LlamaCppBackend(path, settings=settings) as backend:
        heard = [
            await backend.chat(
                [Message.user("?", MediaPart("audio", tone(step), 0))], temperature=0, max_tokens=4, logprobs=0
            )
            for step in (3, 11, 3)
        ]
        one, other, again = ([each.logprob for each in reply.logprobs or ()] for reply in heard)
        assert one == pytest.approx(again, abs=1e-3)
        assert one != pytest.approx(other, abs=1e-2)
        assert [reply.usage.cached_tokens for reply in heard] == [0, 0, heard[0].usage.prompt_tokens - 1]
        with pytest.raises(UnsupportedCallError, match="reads no pictures"):
            await backend.chat([Message.user("?", part(picture()))])
        await backend.engine.check_integrity()


async def test_a_model_and_its_projector_are_catalogued_and_go_together(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(model.parent, folder)
    manager = LocalModelManager(settings=Settings(home=tmp_path / "home"))
    record = manager.find(folder / "model.gguf")
    assert record.projector is not None
    assert record.projector.path.name == "mmproj-model-f16.gguf"  # the other one is of another width
    assert record.size == sum((folder / name).stat().st_size for name in ("model.gguf", "mmproj-model-f16.gguf"))


def with_a_result(data: bytes, at: int = 6) -> list[Message]:
    call = ToolCall("abcdefghi", "shot", "{}")
    result = Message("tool", "Here: .", tool_call_id=call.id, media=(part(data, at),))
    return [Message.user("the quick brown fox"), Message("assistant", tool_calls=(call,)), result]


async def test_a_picture_in_the_result_of_a_tool_counts(backend: LlamaCppBackend) -> None:
    told = [
        await backend.chat(with_a_result(data), temperature=0, max_tokens=12)
        for data in (picture(), picture(seed=2), picture())
    ]
    assert told[0].content == told[2].content != told[1].content
    blank = [replace(message, media=()) for message in with_a_result(b"")]
    without = await backend.chat(blank, temperature=0, max_tokens=12)
    assert told[0].usage.prompt_tokens >= without.usage.prompt_tokens + 16


CUTTING = "{% for m in messages %}{{ m.role }}: {{ (m.content or m.tool_calls[0].function.name).split('Here')[0] }}\n{% endfor %}"


async def test_a_template_that_loses_a_picture_is_told(model: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", engine=EngineSettings(n_ctx=1024))
    async with LlamaCppBackend(model, settings=settings, chat_format=CUTTING) as backend:
        with pytest.raises(UnsupportedCallError, match="writes no pictures or sounds into results of tools"):
            await backend.chat(with_a_result(picture()), max_tokens=2)
        assert (await backend.chat([Message.user("?", part(picture()))], max_tokens=2)).usage.completion_tokens


def test_half_a_picture_is_none_and_damaged_exif_data_costs_nothing() -> None:
    whole = picture(size=(200, 200))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    for data in (whole[: len(whole) // 2], bytes(damaged)):
        with pytest.raises(BadRequestError, match="could not be decoded"):
            decoded(data)
    turned = Image.Exif()
    turned[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (8, 4)).save(file, "JPEG", exif=turned)
    for at in range(30, 38):  # the header of the tags
        data = bytearray(file.getvalue())
        data[at] ^= 0xFF
        assert decoded(bytes(data)).pixels.size == 8 * 4 * 3
