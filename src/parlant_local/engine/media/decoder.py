"""The process that decodes untrusted files: what crashes it would have crashed ours. Run as a script; knows nothing of parlant-local.

A request is a line of JSON (what it is, its size, limits) and the file. An answer is a line of JSON, first with the id of the process that
decodes, then with what was found, and the pixels or samples behind it. That process is a fork, which lives for one file, so that
none can leave anything for the next one; what breaks it ends this process, too. Where there are no forks, this one lives for one
file.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from importlib import import_module
from typing import Any

_IDLE_SECONDS = 300


def main() -> None:
    forks = hasattr(os, "fork")
    while (not forks or _asked()) and (line := sys.stdin.buffer.readline()):
        head = json.loads(line)
        data = sys.stdin.buffer.read(head["size"])
        if len(data) < head["size"]:
            return
        # Before the fork, for all that follow; whoever needs what is missing says so.
        with contextlib.suppress(ImportError):
            _prepare(head["kind"])
        if not forks:
            _answer(data, head)
            return
        if (child := os.fork()) == 0:
            status = 1
            try:
                _answer(data, head)
                status = 0
            finally:
                os._exit(status)
        del data
        if os.waitpid(child, 0)[1]:
            return


def _prepare(kind: str) -> None:
    if kind == "image":
        for name in ("GifImagePlugin", "ImageOps", "JpegImagePlugin", "PngImagePlugin", "WebPImagePlugin"):
            import_module(f"PIL.{name}")
    else:
        import_module("miniaudio")


def _asked() -> bool:
    """Waits for a request; False once it has waited for long."""
    import select

    return bool(select.select([sys.stdin.buffer], [], [], _IDLE_SECONDS)[0])


def _answer(data: bytes, head: dict[str, Any]) -> None:
    _send({"pid": os.getpid()})
    with contextlib.suppress(ImportError, ValueError, OSError):  # not POSIX; the parent watches in any case
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (head["memory"], head["memory"]))
        resource.setrlimit(resource.RLIMIT_CPU, (head["seconds"], head["seconds"]))
    body = b""
    try:
        answer, body = _picture(data, head) if head["kind"] == "image" else _sound(data, head)
    except ImportError as error:
        answer = {"missing": error.name or str(error)}
    except MemoryError:
        answer = {"refused": "it takes too much memory"}
    except Exception as error:  # whatever a decoder raises is about the file
        answer = {"refused": str(error).partition("\n")[0] or type(error).__name__}
    _send(answer, body)


def _send(answer: dict[str, Any], body: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(answer | {"size": len(body)}).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _picture(data: bytes, head: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from PIL import Image

    picture: Any
    Image.MAX_IMAGE_PIXELS = None  # counted here
    with Image.open(io.BytesIO(data), formats=head["formats"]) as picture:
        width, height = picture.size
        if width * height > head["pixels"]:
            return {"large": [width, height]}, b""
        if side := head["side"]:
            picture.draft("RGB", (side, side))  # a large photograph is decoded smaller
        picture.load()  # damage is told here: what comes after may take half a picture for a whole one
        picture = _as_wanted(_upright(picture), head["wanted"])
        if side:
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        elif (share := (head["area"] / (picture.width * picture.height)) ** 0.5) < 1:
            size = [max(1, min(int(each * share), head["area"])) for each in picture.size]  # a line is one pixel wide
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        return {"width": picture.width, "height": picture.height, "bands": len(picture.getbands())}, picture.tobytes()


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # its EXIF data is damaged
        return picture


def _as_wanted(picture: Any, wanted: str) -> Any:
    """``whole``: in colours, with its transparency if it has any; ``colours``: on white where it was transparent; ``mask``: in grey,
    white where it was transparent, else where it was white."""
    from PIL import Image, ImageOps

    clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    if not clear:
        return picture.convert("L" if wanted == "mask" else "RGB")
    seen = picture.convert("RGBA")
    alpha = seen.getchannel("A")
    opaque = alpha.getextrema() == (255, 255)
    if wanted == "mask":
        return seen.convert("L") if opaque else ImageOps.invert(alpha)
    if wanted == "whole" and not opaque:
        return seen
    return (
        seen.convert("RGB")
        if opaque
        else Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    )


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
