"""Damaged pictures by the hundred: each ends as a picture within the bounds, or as an error; nothing else happens."""

from __future__ import annotations

import asyncio
import random
import struct
import time
import zlib
from collections import Counter
from pathlib import Path

import psutil
import pytest
from PIL import Image

from parlant_local.engine.media.decoders import shared_decoders
from parlant_local.errors import InvalidOutputError
from parlant_local.images.pictures import picture_of
from parlant_local.settings import ImageSettings
from tests.images.conftest import file_of, opened
from tests.support.evidence import table, write_section

PAGE = Path(__file__).parents[2] / "docs/evidence/images.md"
EACH = 400
AT_ONCE = 4
SETTINGS = ImageSettings(max_megapixels=1.0)
KINDS = (b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"fdAT", b"IEND")


def whole(form: str) -> bytes:
    picture = Image.effect_noise((48, 36), 60)
    return file_of(picture.convert("P") if form == "PNG" else picture.convert("RGB"), form)


def bytes_changed(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        at = dice.randrange(len(changed)) if dice.random() < 0.5 else dice.randrange(min(64, len(changed)))
        changed[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    return bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.1 else changed)


def chunks_changed(data: bytes, dice: random.Random) -> bytes:
    """A PNG whose checksums hold, so that a decoder gets past them."""
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(dice.randint(1, 3)):
        number = dice.randrange(len(chunks))
        kind, body = chunks[number]
        match dice.randrange(6):
            case 0 if kind == b"IHDR":
                sizes = [dice.choice((0, 1, 48, 999, 1000, 65_535, 2**31 - 1)) for _ in range(2)]
                rest = (dice.choice((1, 2, 4, 8, 16, 3)), dice.randrange(8), 0, 0, dice.randrange(3))
                body = struct.pack(">IIBBBBB", *sizes, *rest)
            case 1:
                body = bytes_changed(body, dice) if body else dice.randbytes(20)
            case 2:
                kind = dice.choice(KINDS)
            case 3:
                chunks.insert(dice.randrange(len(chunks)), (dice.choice(KINDS), dice.randbytes(dice.randrange(60))))
                continue
            case 4 if len(chunks) > 1:
                del chunks[number]
                continue
            case _:
                body = zlib.compress(bytes(dice.choice((100, 1_000_000, 50_000_000))))
        chunks[number] = (kind, body)
    parts = [
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    ]
    return data[:8] + b"".join(parts)


WAYS = {
    "PNG, bytes": ("PNG", bytes_changed),
    "PNG, chunks with right checksums": ("PNG", chunks_changed),
    "JPEG, bytes": ("JPEG", bytes_changed),
    "WebP, bytes": ("WEBP", bytes_changed),
}


@pytest.mark.evidence
@pytest.mark.timeout(3600)
async def test_damaged_pictures() -> None:
    dice, rows = random.Random(20261127), []
    for way, (form, change) in WAYS.items():
        files = [change(whole(form), dice) for _ in range(EACH)]
        ended: Counter[str] = Counter()
        slowest = 0.0
        waiting = asyncio.Semaphore(AT_ONCE)

        async def one(data: bytes, ended: Counter[str] = ended, waiting: asyncio.Semaphore = waiting) -> float:
            async with waiting:
                begun = time.monotonic()
                try:
                    picture = await picture_of(data, "it", SETTINGS)
                except InvalidOutputError as error:
                    ended["too large" if "images.max_megapixels" in str(error) else "no picture"] += 1
                else:
                    made = opened(picture.data)
                    assert made.size == (picture.width, picture.height)
                    assert made.width * made.height <= 1_000_000
                    ended["a picture"] += 1
                return time.monotonic() - begun

        slowest = max(await asyncio.gather(*map(one, files)))
        assert ended.total() == EACH
        rows.append((way, EACH, ended["a picture"], ended["no picture"], ended["too large"], f"{slowest:.1f} s"))
    shared_decoders().close()
    assert not psutil.Process().children(recursive=True)
    text = (
        "Valid pictures of 48 x 36 pixels, damaged by chance, as an endpoint's answer. Each ended as a picture that was written anew, or as an "
        "`InvalidOutputError`; no process was left, and nothing else was raised.\n\n"
        + table(
            ("damaged", "files", "a picture", "no picture", "too large (`images.max_megapixels`)", "the slowest"), rows
        )
    )
    write_section(PAGE, "Damaged pictures", text, command="pytest -m evidence tests/images/test_mutated.py")
