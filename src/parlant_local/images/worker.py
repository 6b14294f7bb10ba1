"""The process that runs stable-diffusion.cpp, one for each loaded model. Run as a script; knows nothing of parlant-local.

Requests and answers are JSON, each preceded by its length in four bytes; the pictures of both, PNG files
of parlant-local's own writing, follow it, by the lengths in ``blobs``. It ends as soon as its standard input does, in the middle of a computation too: nobody is
left to answer. What the library says goes to standard error, a line each, ``E`` before errors and ``W`` before warnings.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import struct
import sys
import threading
from queue import SimpleQueue
from typing import Any, BinaryIO

Request = tuple[dict[str, Any], list[bytes]]

_LEVELS = ("D", "I", "W", "E")


class _Answers:
    """The pipe of answers. What prints to standard output meets the log instead."""

    def __init__(self) -> None:
        self._pipe = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def send(self, answer: dict[str, Any], blobs: list[bytes] | None = None) -> None:
        data = json.dumps(answer | {"blobs": [len(blob) for blob in blobs or []]}).encode()
        self._pipe.write(struct.pack(">I", len(data)) + data)
        for blob in blobs or []:
            self._pipe.write(blob)
        self._pipe.flush()


class _Model:
    """One loaded model, and the callbacks that the library calls meanwhile."""

    def __init__(self, library: Any, answers: _Answers, request: dict[str, Any]) -> None:
        self._library, self._answers = library, answers
        self._phase: dict[str, Any] = {"at": "loading"}
        # Kept: the library holds pointers to them.
        self._callbacks = (library.sd_log_callback(_log), library.sd_progress_callback(self._progress))
        library.sd_set_log_callback(self._callbacks[0], None)
        library.sd_set_progress_callback(self._callbacks[1], None)
        self._context = self._load(request)

    def _load(self, request: dict[str, Any]) -> Any:
        parameters = self._library.sd_ctx_params_t()
        self._library._lib.sd_ctx_params_init(ctypes.byref(parameters))
        for name, value in request["options"].items():
            setattr(parameters, name, value.encode() if isinstance(value, str) else value)
        parameters.free_params_immediately = False
        context = self._library.new_sd_ctx(ctypes.byref(parameters))
        if not context:
            raise RuntimeError("the library could not load it")
        if not self._library.sd_ctx_supports_image_generation(context):
            raise RuntimeError("it makes no pictures")
        return context

    def _progress(self, step: int, steps: int, seconds: float, data: Any) -> None:
        del seconds, data
        if self._phase["at"] == "drawing" and step == 0:
            self._phase["picture"] += 1
        self._answers.send(self._phase | {"step": step, "steps": steps})

    def draw(self, request: dict[str, Any], blobs: list[bytes]) -> None:
        library = self._library
        parameters = library.sd_img_gen_params_t()
        library._lib.sd_img_gen_params_init(ctypes.byref(parameters))
        parameters.prompt = request["prompt"].encode()
        parameters.negative_prompt = request["negative_prompt"].encode()
        parameters.width, parameters.height = request["width"], request["height"]
        parameters.seed, parameters.batch_count = request["seed"], request["count"]
        parameters.strength = request["strength"]
        sampling = parameters.sample_params
        sampling.sample_steps = request["steps"]
        sampling.guidance.txt_cfg = request["guidance"]
        sampling.guidance.distilled_guidance = request["distilled_guidance"]
        method = self._sampler(request["sampler"])
        sampling.sample_method = method
        kept = self._give_pictures(parameters, request, blobs)
        self._phase = {"at": "drawing", "picture": 0}
        found = library.generate_image(self._context, ctypes.byref(parameters))
        del kept
        if not found:
            raise RuntimeError("the library could not draw it")
        pictures = [_png(found[number]) for number in range(request["count"])]
        sizes = [(found[number].width, found[number].height) for number in range(request["count"])]
        _free(found, request["count"])
        named = library._lib.sd_sample_method_name
        named.restype = ctypes.c_char_p
        self._answers.send({"at": "done", "sampler": named(method).decode(), "sizes": sizes, "peak": _peak()}, pictures)

    def _sampler(self, name: str | None) -> int:
        if name is None:
            return int(self._library.sd_get_default_sample_method(self._context))
        return int(self._library._lib.str_to_sample_method(name.encode()))

    def _give_pictures(self, parameters: Any, request: dict[str, Any], blobs: list[bytes]) -> list[Any]:
        """The pictures to start from, in the size of the one to be drawn; what it returns has to outlive the call."""
        size = (request["width"], request["height"])
        pictures = [
            self._picture(blob, "RGB", None if request["reference"] else size)
            for blob in (blobs[:-1] if request["mask"] else blobs)
        ]
        mask = self._picture(blobs[-1], "L", size) if request["mask"] else None
        if mask is not None:
            parameters.mask_image = mask
        if request["reference"] and pictures:
            references = (self._library.sd_image_t * len(pictures))(*pictures)
            parameters.ref_images, parameters.ref_images_count = references, len(pictures)
            parameters.auto_resize_ref_image = True
            return [*pictures, references]
        if pictures:
            parameters.init_image = pictures[0]
        return [*pictures, mask]

    def _picture(self, png: bytes, mode: str, size: tuple[int, int] | None) -> Any:
        from PIL import Image, ImageOps

        picture: Any = Image.open(io.BytesIO(png), formats=("PNG",)).convert(mode)
        if size is not None and size != picture.size:
            picture = ImageOps.fit(picture, size, Image.Resampling.BILINEAR)
        pixels = picture.tobytes()
        data = (ctypes.c_uint8 * len(pixels)).from_buffer_copy(pixels)
        found = self._library.sd_image_t(width=picture.width, height=picture.height, channel=len(mode))
        found.data = ctypes.cast(data, ctypes.POINTER(ctypes.c_uint8))
        return found


def _log(level: int, text: bytes, data: Any) -> None:
    del data
    if level > 0:
        line = " ".join(text.decode("utf-8", "replace").split())[:2000]
        os.write(2, f"{_LEVELS[min(level, 3)]} {line}\n".encode())


def _png(picture: Any) -> bytes:
    from PIL import Image

    size = picture.width * picture.height * picture.channel
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[picture.channel]
    file = io.BytesIO()
    Image.frombytes(mode, (picture.width, picture.height), ctypes.string_at(picture.data, size)).save(file, "PNG")
    return file.getvalue()


def _free(pictures: Any, count: int) -> None:
    """The library has no function for it: its pictures come from the C library's heap."""
    try:
        free = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).free
    except OSError:
        return  # some megabytes stay until the process ends
    free.argtypes, free.restype = [ctypes.c_void_p], None
    for number in range(count):
        free(ctypes.cast(pictures[number].data, ctypes.c_void_p))
    free(ctypes.cast(pictures, ctypes.c_void_p))


def _peak() -> int | None:
    """The most memory that this process has had, in bytes; None where the system doesn't tell."""
    try:
        # Linux counts what the parent had, too, as this process was a copy of it for a moment; but here it doesn't.
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123  # pathlib is slow to import
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _listen(stream: BinaryIO, requests: SimpleQueue[Request]) -> None:
    while (request := _read(stream)) is not None:
        requests.put(request)
    os._exit(0)


def _read(stream: BinaryIO) -> Request | None:
    start = stream.read(4)
    if len(start) < 4:
        return None
    request = json.loads(stream.read(struct.unpack(">I", start)[0]))
    return request, [stream.read(length) for length in request["blobs"]]


def main() -> None:
    """Answers requests until standard input ends; the first one loads the model."""
    answers = _Answers()
    requests: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    try:
        import stable_diffusion_cpp.stable_diffusion_cpp as library
    except (ImportError, AttributeError, OSError, RuntimeError) as error:  # as its own loader raises
        answers.send({"at": "failed", "missing": True, "text": str(error)})
        return
    try:
        model = _Model(library, answers, requests.get()[0])
    except (AttributeError, RuntimeError) as error:
        answers.send({"at": "failed", "missing": isinstance(error, AttributeError), "text": str(error)})
        return
    answers.send({"at": "loaded", "peak": _peak()})
    while True:
        request, blobs = requests.get()
        try:
            model.draw(request, blobs)
        except (RuntimeError, MemoryError) as error:
            answers.send({"at": "failed", "missing": False, "text": str(error) or "there is not enough memory"})


if __name__ == "__main__":
    main()
