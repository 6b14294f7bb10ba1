"""Pictures and sounds gone wrong: sound ones, changed by chance as a careful enemy would."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from tests.support import sounds

__all__ = ["FORMATS", "mutant", "sources"]

FORMATS = ("PNG", "JPEG", "WebP", "GIF", "WAV", "MP3", "FLAC")
_NUMBERS = (0, 1, 2, 7, 8, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 10_000, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _picture(kind: str, mode: str, size: tuple[int, int], **options: object) -> bytes:
    dice = np.random.default_rng(7)
    noise = dice.integers(0, 256, (*size, 4), dtype=np.uint8)
    noise[::2] //= 3
    file = io.BytesIO()
    Image.fromarray(noise, "RGBA").convert(mode).save(file, kind, **options)
    return file.getvalue()


@lru_cache(maxsize=1)
def sources() -> dict[str, tuple[bytes, ...]]:
    """Sound files by format: those whose decoding takes different ways."""
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("P", (16, 20), number) for number in range(3)]
    return {
        "PNG": tuple(_picture("PNG", mode, (24, 30)) for mode in ("RGBA", "RGB", "L", "P", "1", "LA")),
        "JPEG": (
            _picture("JPEG", "RGB", (40, 52), exif=exif),
            _picture("JPEG", "RGB", (40, 52), progressive=True),
            _picture("JPEG", "L", (33, 21)),
            _picture("JPEG", "CMYK", (33, 21)),
        ),
        "WebP": (
            _picture("WEBP", "RGBA", (30, 22), lossless=True),
            _picture("WEBP", "RGB", (30, 22), quality=60),
            _picture("WEBP", "RGB", (20, 16), save_all=True, append_images=[frame.convert("RGB") for frame in frames]),
        ),
        "GIF": (
            _picture("GIF", "P", (31, 22)),
            _picture("GIF", "P", (20, 16), save_all=True, append_images=frames, transparency=0),
        ),
        "WAV": (sounds.wav(), sounds.wav(channels=2, rate=44_100)),
        "MP3": (sounds.mp3(), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + sounds.mp3(), sounds.noisy_mp3()),
        "FLAC": (sounds.flac(),),
    }


def mutant(seed: int) -> tuple[str, str, bytes]:
    """(format, what was done, the changed file); the same for the same seed."""
    dice = random.Random(seed)
    kind = FORMATS[seed % len(FORMATS)]
    data = bytearray(dice.choice(sources()[kind]))
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        change = dice.choice((*_CHANGES, _lengths, _lengths))
        change(dice, data, kind)
        done.append(change.__name__.strip("_"))
    if kind == "PNG" and dice.random() < 0.7:
        _sign(data)
    return kind, " + ".join(done), bytes(data)


def _flipped(dice: random.Random, data: bytearray, _kind: str) -> None:
    for _ in range(dice.choice((1, 1, 2, 8, 32))):
        if data:
            data[dice.randrange(len(data) if dice.random() < 0.5 else min(len(data), 96))] ^= 1 << dice.randrange(8)


def _overwritten(dice: random.Random, data: bytearray, _kind: str) -> None:
    at = dice.randrange(max(1, len(data)))
    width = dice.choice((1, 2, 4, 8))
    data[at : at + width] = dice.choice((b"\xff" * width, bytes(width), dice.randbytes(width)))


def _cut(dice: random.Random, data: bytearray, _kind: str) -> None:
    del data[dice.randrange(len(data) + 1) :]


def _hollowed(dice: random.Random, data: bytearray, _kind: str) -> None:
    at = dice.randrange(len(data) + 1)
    del data[at : at + dice.choice((1, 3, 16, 100))]


def _spliced(dice: random.Random, data: bytearray, kind: str) -> None:
    other = dice.choice(sources()[dice.choice((kind, kind, dice.choice(FORMATS)))])
    begin = dice.randrange(len(other))
    at = dice.randrange(len(data) + 1)
    piece = other[begin : begin + dice.choice((4, 40, 400, len(other)))]
    data[at : at + (len(piece) if dice.random() < 0.5 else 0)] = piece


def _repeated(dice: random.Random, data: bytearray, _kind: str) -> None:
    begin = dice.randrange(len(data) + 1)
    piece = data[begin : begin + dice.choice((1, 12, 60, 300))]
    data[begin:begin] = piece * dice.choice((1, 2, 20, 200))


def _lengths(dice: random.Random, data: bytearray, kind: str) -> None:
    """A number that says how large something is: sizes of pictures, of chunks, of blocks."""
    places = _LENGTHS[kind](data)
    if not places:
        return
    at, form = dice.choice(places)
    width = struct.calcsize(form)
    if at + width <= len(data):
        (now,) = struct.unpack_from(form, data, at)
        value = dice.choice((*_NUMBERS, now + 1, now - 1, now * 2, now // 2))
        struct.pack_into(form, data, at, value & ((1 << 8 * width) - 1))


_CHANGES: tuple[Callable[[random.Random, bytearray, str], None], ...] = (
    _flipped,
    _flipped,
    _overwritten,
    _cut,
    _hollowed,
    _spliced,
    _repeated,
)


def _png(data: bytearray) -> list[tuple[int, str]]:
    return [(16, ">I"), (20, ">I"), *((at, ">I") for at in _png_chunks(data))]


def _png_chunks(data: bytearray) -> list[int]:
    found, at = [], 8
    while at + 12 <= len(data):
        found.append(at)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


def _sign(data: bytearray) -> None:
    """Gives every chunk of a PNG the checksum that it now has, so that what is inside gets read."""
    for at in _png_chunks(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 <= len(data):
            struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))


def _jpeg(data: bytearray) -> list[tuple[int, str]]:
    found, at = [], 2
    while at + 9 < len(data) and data[at] == 0xFF:
        found.append((at + 2, ">H"))
        if 0xC0 <= data[at + 1] <= 0xCF:  # the frame's height and width
            found += [(at + 5, ">H"), (at + 7, ">H")] * 3
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def _riff(data: bytearray) -> list[tuple[int, str]]:
    found, at = [(4, "<I")], 12
    while at + 8 < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found += [(at + 4, "<I"), *((at + 8 + place, "<H") for place in range(0, min(size, 24), 2))]
        at += 8 + size + size % 2
    return found


def _gif(data: bytearray) -> list[tuple[int, str]]:
    at = data.find(b",")
    return [
        (6, "<H"),
        (8, "<H"),
        (10, "<B"),
        *((at + place, "<H") for place in (1, 3, 5, 7)),
        (at + 10, "<B"),
        (at + 11, "<B"),
    ]


def _flac(data: bytearray) -> list[tuple[int, str]]:
    return [(4, ">I"), (8, ">H"), (10, ">H"), (18, ">I"), (22, ">I"), *((42 + place, ">B") for place in range(12))]


def _mp3(data: bytearray) -> list[tuple[int, str]]:
    frames = [at for at in range(len(data) - 22) if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0]
    return [(at + place, ">B") for at in frames[:4] for place in range(1, 21)] or [(6, ">I")]


_LENGTHS: dict[str, Callable[[bytearray], list[tuple[int, str]]]] = {
    "PNG": _png, "JPEG": _jpeg, "WebP": _riff, "GIF": _gif, "WAV": _riff, "MP3": _mp3, "FLAC": _flac,
}  # fmt: skip
