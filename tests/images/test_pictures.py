"""Pictures from strangers: what is none is refused, what is one comes out as pixels only."""

from __future__ import annotations

import asyncio
import io
import os
import random
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from parlant_local.engine.media.decoders import shared_decoders
from parlant_local.errors import BadRequestError, ConfigurationError, InvalidOutputError
from parlant_local.images import pictures
from parlant_local.images.pictures import alpha_mask, mask_png, picture_of, source_png
from parlant_local.images.png import size_of, texts_of, with_text
from parlant_local.settings import ImageSettings
from tests.images.conftest import file_of, opened

SETTINGS = ImageSettings(max_megapixels=0.02, max_source_megapixels=0.09)
GOOD = file_of(Image.effect_noise((40, 30), 60).convert("RGB"))
DAMAGED = GOOD[: len(GOOD) // 2] + bytes([GOOD[len(GOOD) // 2] ^ 0xFF]) + GOOD[len(GOOD) // 2 + 1 :]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width: int, height: int) -> bytes:
    """Says it is huge; its rows are zeros, which compress a thousandfold."""
    rows = zlib.compress(b"\0" * (1 << 20), 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def test_pixels_and_nothing_else() -> None:
    info = PngInfo()
    info.add_text("parameters", "a secret")
    data = file_of(Image.new("RGB", (40, 30), "blue"), pnginfo=info, exif=b"Exif\0\0hidden") + b"behind it"
    picture = await picture_of(data, "sd", SETTINGS, seed=3)
    assert (picture.width, picture.height, picture.seed) == (40, 30, 3)
    assert opened(picture.data).getpixel((0, 0)) == (0, 0, 255)
    assert not any(word in picture.data for word in (b"secret", b"hidden", b"behind"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "could not be decoded"),
        (b"\x89PNG\r\n\x1a\n", "could not be decoded"),
        (GOOD[:-200], "could not be decoded"),
        (GOOD[: len(GOOD) // 2], "could not be decoded"),
        (DAMAGED, "could not be decoded"),
        (file_of(Image.new("RGB", (9, 9)), "GIF"), "could not be decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "could not be decoded"),
        (bomb(30_000, 30_000), r"30000 x 30000 pixels.*images\.max_megapixels"),
        (file_of(Image.new("RGB", (200, 101))), r"images\.max_megapixels"),
        (b"\x89PNG" + bytes(2_000_000), r"images\.max_megapixels"),
    ],
)
async def test_what_is_no_picture(data: bytes, said: str) -> None:
    with pytest.raises(InvalidOutputError, match=said):
        await picture_of(data, "sd", SETTINGS)


async def test_a_source_in_every_form() -> None:
    photo = Image.new("RGB", (300, 200), "red")
    turned = Image.Exif()
    turned[0x0112] = 6  # taken upright
    for data, size in (
        (file_of(photo, "JPEG"), (173, 115)),  # scaled down to max_megapixels
        (file_of(photo.resize((60, 40)), "WEBP"), (60, 40)),
        (file_of(photo.resize((60, 40)), "JPEG", exif=turned), (40, 60)),
        (file_of(photo.resize((60, 40)).convert("L")), (60, 40)),
        (file_of(photo.resize((60, 40)).convert("P")), (60, 40)),
        (file_of(photo.resize((60, 40)).convert("CMYK"), "JPEG"), (60, 40)),
        (file_of(photo.resize((60, 40)).convert("I;16")), (60, 40)),
        (file_of(photo.resize((1, 90_000))), (1, 20_000)),
        (file_of(photo.resize((90_000, 1))), (20_000, 1)),
    ):
        png, width, height = await source_png(data, SETTINGS)
        assert (width, height) == size == size_of(png) == opened(png).size
        assert opened(png).mode == "RGB"
    clear, *_ = await source_png(file_of(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), SETTINGS)
    assert opened(clear).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(BadRequestError, match=r"images\.max_source_megapixels"):
        await source_png(file_of(Image.new("RGB", (301, 300))), SETTINGS)


async def test_masks_of_both_kinds() -> None:
    white = Image.new("L", (8, 8), 0)
    white.paste(255, (0, 0, 4, 8))
    clear = Image.new("RGBA", (8, 8), (10, 200, 30, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 4, 8))  # as OpenAI's clients send it
    for mask in (white, white.convert("RGB"), white.convert("RGBA"), white.convert("1"), clear):
        png, *_ = await mask_png(file_of(mask), SETTINGS)
        assert opened(png).mode == "L"
        assert [opened(png).getpixel((x, 0)) for x in (0, 7)] == [255, 0]
        again = opened(alpha_mask(png))
        assert [again.getpixel((x, 0)) for x in (0, 7)] == [(0, 0, 0, 0), (0, 0, 0, 255)]


async def test_damaged_files_end_as_pictures_or_as_errors() -> None:
    generator = random.Random(5)
    for form in ("PNG", "JPEG", "WEBP"):
        whole = file_of(Image.effect_noise((40, 30), 60).convert("RGB"), form)
        for _ in range(4):
            data = bytearray(whole)
            for _ in range(generator.randint(1, 8)):
                data[generator.randrange(len(data))] = generator.randrange(256)
            try:
                picture = await picture_of(bytes(data), "sd", SETTINGS)
            except InvalidOutputError:
                continue
            assert opened(picture.data).size == (picture.width, picture.height)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process decodes one file where there are no forks")
async def test_pictures_are_decoded_where_those_of_prompts_are() -> None:
    await picture_of(GOOD, "sd", SETTINGS)
    [process] = {each._process.pid for each in shared_decoders()._idle[-1:]}
    await mask_png(GOOD, SETTINGS)
    assert shared_decoders()._idle[-1]._process.pid == process


async def test_cancelling_costs_no_other_picture() -> None:
    task = asyncio.create_task(picture_of(GOOD, "sd", SETTINGS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await picture_of(GOOD, "sd", SETTINGS)).width == 40


def test_a_missing_decoder_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"parlant-local\[media\]"):
        pictures.need_decoder()


@pytest.mark.parametrize("text", ["a cat", "une forêt", "猫\n🐈", "", "a\udc80b"])
def test_a_text_stands_where_every_reader_finds_it(text: str) -> None:
    data = with_text(GOOD, "parameters", text)
    whole = text.encode("utf-8", "replace").decode()
    assert texts_of(data) == {"parameters": whole}
    picture = Image.open(io.BytesIO(data))
    assert picture.info["parameters"] == whole
    assert opened(data).tobytes() == opened(GOOD).tobytes()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt", GOOD[:60], b"JFIF"])
def test_texts_of_what_is_no_png(data: bytes) -> None:
    assert texts_of(data) == {}
