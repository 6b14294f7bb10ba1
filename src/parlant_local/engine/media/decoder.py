"""The process that decodes one untrusted file: what crashes it would have crashed ours.

Reads a line of JSON (what it is, limits) and the file from standard input; writes a line of JSON and, behind it, the pixels or samples.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any


def main() -> None:
    head = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    with contextlib.suppress(ImportError, ValueError, OSError):  # not POSIX; the parent watches in any case
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (head["memory"], head["memory"]))
        resource.setrlimit(resource.RLIMIT_CPU, (head["seconds"], head["seconds"]))
    try:
        answer, body = _picture(data, head) if head["kind"] == "image" else _sound(data, head)
    except ImportError as error:
        answer, body = {"missing": error.name or str(error)}, b""
    except MemoryError:
        answer, body = {"refused": "it takes too much memory"}, b""
    except Exception as error:  # whatever a decoder raises is about the file
        answer, body = {"refused": str(error).partition("\n")[0] or type(error).__name__}, b""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _picture(data: bytes, head: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # counted here
    picture: Any
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF")) as picture:
        width, height = picture.size
        if width * height > head["pixels"]:
            return {"large": [width, height]}, b""
        picture.draft("RGB", (head["side"], head["side"]))  # a large photograph is decoded smaller
        picture = _upright(picture)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            seen = picture.convert("RGBA")
            ground = Image.new("RGBA", seen.size, "white")
            picture = Image.alpha_composite(ground, seen)
        picture = picture.convert("RGB")
        picture.thumbnail((head["side"], head["side"]), Image.Resampling.LANCZOS)
        return {"width": picture.width, "height": picture.height}, picture.tobytes()


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # its EXIF data is damaged, or its pixels are, which shows when they are read
        return picture


def _sound(data: bytes, head: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    import miniaudio

    rate, longest = head["rate"], int(head["rate"] * head["longest"])
    pieces: list[bytes] = []
    count = 0
    for piece in miniaudio.stream_memory(
        data, output_format=miniaudio.SampleFormat.FLOAT32, nchannels=1, sample_rate=rate, frames_to_read=rate
    ):
        count += len(piece)
        if count > longest:
            return {"long": True}, b""
        pieces.append(piece.tobytes())
    return ({"count": count}, b"".join(pieces)) if count else ({"refused": "it holds no samples"}, b"")


if __name__ == "__main__":
    main()
