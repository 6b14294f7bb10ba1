"""The process that decodes one untrusted picture into pixels: what crashes it would have crashed ours.

Reads a line of JSON (what is wanted, limits) and the file from standard input; writes a line of JSON and, behind it, the pixels.
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
        answer, body = _pixels(data, head)
    except ImportError as error:
        answer, body = {"missing": error.name or str(error)}, b""
    except MemoryError:
        answer, body = {"refused": "it takes too much memory"}, b""
    except Exception as error:  # whatever a decoder raises is about the file
        answer, body = {"refused": str(error).partition("\n")[0] or type(error).__name__}, b""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _pixels(data: bytes, head: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # counted here
    picture: Any
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
        width, height = picture.size
        if width * height > head["pixels"]:
            return {"large": [width, height]}, b""
        picture.load()  # damage is told here: what comes after may take half a picture for a whole one
        picture = _as_wanted(_upright(picture), head["wanted"])
        if (share := (head["scaled"] / (picture.width * picture.height)) ** 0.5) < 1:
            size = (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        return {"mode": picture.mode, "width": picture.width, "height": picture.height}, picture.tobytes()


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # its EXIF data is damaged
        return picture


def _as_wanted(picture: Any, wanted: str) -> Any:
    """``picture``: as it is, in colours with or without transparency; ``source``: in colours, on white where it was transparent;
    ``mask``: white where it was transparent, else where it was white."""
    from PIL import Image, ImageOps

    clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    if not clear:
        return picture.convert("L" if wanted == "mask" else "RGB")
    seen = picture.convert("RGBA")
    alpha = seen.getchannel("A")
    opaque = alpha.getextrema() == (255, 255)
    if wanted == "mask":
        return seen.convert("L") if opaque else ImageOps.invert(alpha)
    if wanted == "picture":
        return seen.convert("RGB") if opaque else seen
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


if __name__ == "__main__":
    main()
