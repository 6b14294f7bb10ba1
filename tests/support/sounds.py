"""Small sounds in every format that is read, written by hand where no encoder comes with Python."""

from __future__ import annotations

import io
import itertools
import random
import struct
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

__all__ = ["flac", "mp3", "noisy_mp3", "tone", "wav"]

RATE = 16_000


def tone(step: float = 5.0, seconds: float = 0.2) -> list[int]:
    return [int(value) for value in 9000 * np.sin(np.arange(int(RATE * seconds)) / step)]


def wav(samples: Sequence[int] | None = None, *, channels: int = 1, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(np.repeat(np.array(tone() if samples is None else samples, "<i2"), channels).tobytes())
    return file.getvalue()


def flac(samples: Sequence[int] | None = None) -> bytes:
    """One channel of 16 bits: frames whose samples are differences in Rice's code."""
    samples = tone() if samples is None else samples
    size = 1024
    head = (
        struct.pack(">HH", size, size) + bytes(6) + _bits((RATE, 20), (0, 3), (15, 5), (len(samples), 36)) + bytes(16)
    )
    frames = [samples[at : at + size] for at in range(0, len(samples), size)]
    blocks = b"\x80" + len(head).to_bytes(3, "big") + head
    return b"fLaC" + blocks + b"".join(_flac_frame(number, frame) for number, frame in enumerate(frames))


def _flac_frame(number: int, samples: Sequence[int]) -> bytes:
    head = b"\xff\xf8\x75\x08" + bytes([number]) + struct.pack(">H", len(samples) - 1)  # block size in 16 bits, 16 kHz
    head += bytes([_crc(head, 0x07, 8)])
    k = 10
    fields = [(0b00010010, 8), (samples[0] & 0xFFFF, 16), (0, 2), (0, 4), (k, 4)]
    for before, sample in itertools.pairwise(samples):
        value = sample - before
        folded = 2 * value if value >= 0 else -2 * value - 1
        fields += [(1, (folded >> k) + 1), (folded & ((1 << k) - 1), k)]
    frame = head + _bits(*fields)
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _bits(*fields: tuple[int, int]) -> bytes:
    """Values in so many bits each, filled up to a whole byte."""
    text = "".join(f"{value:0{width}b}" for value, width in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _crc(data: bytes, polynomial: int, width: int) -> int:
    value, top = 0, 1 << (width - 1)
    for byte in data:
        value ^= byte << (width - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & ((1 << width) - 1)
    return value


def mp3() -> bytes:
    """Two tones of 0.2 seconds, 32 kbit/s, by an encoder."""
    return Path(__file__).with_name("tone.mp3").read_bytes()


def noisy_mp3(frames: int = 12, *, seed: int = 1) -> bytes:
    """MPEG-1 layer III, 128 kbit/s, one channel: frames of chance, of which a decoder has to make the best."""
    dice = random.Random(seed)
    size = 144 * 128_000 // 44_100
    return b"".join(
        b"\xff\xfb\x90\xc4" + (bytes(size - 4) if number % 2 else bytes(2) + dice.randbytes(size - 6))
        for number in range(frames)
    )
