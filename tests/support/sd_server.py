"""A stand-in for stable-diffusion.cpp's ``sd-server``, over a real socket: its answers as its sources write them, and what goes wrong.

``examples/server`` of the library is what it is faithful to, in the version of stable_diffusion_cpp_python 0.4.7; ``earlier`` leaves out
what came with the modes. Its drawing is a gradient that depends on prompt and seed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import itertools
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fakes.http import Fault, FaultServer, Reply, Request

SAMPLERS = ["euler", "euler_a", "heun", "dpm2", "dpm++2m", "lcm", "ddim_trailing", "tcd"]
JOBS = "/sdcpp/v1/jobs/"


@dataclass
class Job:
    id: str
    body: dict[str, Any]
    status: str = "queued"
    created: int = field(default_factory=lambda: int(time.time()))
    started: int | None = None
    completed: int | None = None
    pictures: list[str] = field(default_factory=list)
    error: dict[str, str] | None = None


class SdServer(FaultServer):
    """One job at a time, each for ``seconds``, and not before ``allowed`` is set."""

    def __init__(self, *, seconds: float = 0.0, earlier: bool = False) -> None:
        super().__init__()
        self.seconds, self.earlier = seconds, earlier
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.max_pending_jobs = 64
        self.modes = ["img_gen"]
        self.fails: str | None = None
        """What the next job fails with."""
        self.drawn: Callable[[str], str] = lambda picture: picture
        """What becomes of each picture in base64."""
        self.layers = 1
        self.at: defaultdict[str, deque[Fault]] = defaultdict(deque)
        """Faults of the next requests of a kind: capabilities, img_gen, jobs, cancel, generations."""
        self.jobs: dict[str, Job] = {}
        self._numbers = itertools.count()
        self._worker: asyncio.Task[None] | None = None
        self._queue: deque[str] = deque()
        self._arrived = asyncio.Event()

    async def start(self) -> None:
        await super().start()
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        await super().stop()

    def allow(self) -> None:
        """From another thread."""
        assert self._worker is not None
        self._worker.get_loop().call_soon_threadsafe(self.allowed.set)

    def forget(self) -> None:
        """As after a restart."""
        self.jobs.clear()
        self._queue.clear()

    def error_body(self, status: int) -> Any:
        return {"error": "server_error", "message": f"status {status}"}

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        kind = request.path.rpartition("/")[2]
        if request.path.startswith(JOBS) and kind != "cancel":
            kind = "jobs"
        if self.at[kind]:
            self.faults.appendleft(self.at[kind].popleft())
        await super()._answer(request, writer)

    async def route(self, request: Request) -> Reply:
        match (request.method, request.path):
            case ("GET", "/sdcpp/v1/capabilities"):
                return Reply(self._capabilities())
            case ("POST", "/sdcpp/v1/img_gen"):
                return self._submitted(request.body)
            case ("GET", "/v1/models"):
                return Reply({"data": [{"id": "sd-cpp-local", "object": "model", "owned_by": "local"}]})
            case ("GET", path) if path.startswith(JOBS):
                return self._of_job(path.removeprefix(JOBS), lambda job: Reply(self._told(job)))
            case ("POST", path) if path.startswith(JOBS) and path.endswith("/cancel"):
                return self._of_job(path.removeprefix(JOBS).removesuffix("/cancel"), self._cancelled)
        return Reply({"error": "not found"}, status=404)

    def _submitted(self, body: Any) -> Reply:
        if not body:
            return Reply({"error": "empty body"}, status=400)
        if "img_gen" not in self.modes:
            return Reply({"error": "loaded model does not support img_gen"}, status=400)
        if not self._is_valid(body):
            return Reply({"error": "invalid generation parameters"}, status=400)
        if sum(job.status in ("queued", "generating") for job in self.jobs.values()) >= self.max_pending_jobs:
            return Reply({"error": "job queue is full"}, status=429)
        job = Job(f"job_{int(time.time()):x}_{next(self._numbers):08x}", body)
        self.jobs[job.id] = job
        self._queue.append(job.id)
        self._arrived.set()
        told = {"id": job.id, "kind": "img_gen", "status": job.status, "created": job.created}
        return Reply(told | {"poll_url": JOBS + job.id}, status=202)

    @staticmethod
    def _is_valid(body: dict[str, Any]) -> bool:
        try:
            for name in ("init_image", "mask_image"):
                if body.get(name) is not None:
                    _opened(body[name])
            for picture in body.get("ref_images", []):
                _opened(picture)
        except (OSError, ValueError):
            return False
        guidance = body.get("sample_params", {}).get("guidance", {})
        return bool(0 <= body.get("strength", 0.75) <= 1 and guidance.get("txt_cfg", 7.0) >= 0)

    def _of_job(self, name: str, answer: Callable[[Job], Reply]) -> Reply:
        job = self.jobs.get(name)
        return Reply({"error": "job not found"}, status=404) if job is None else answer(job)

    def _cancelled(self, job: Job) -> Reply:
        if job.status == "generating":
            return Reply({"error": "job is currently generating and cannot be interrupted yet"}, status=409)
        if job.status == "queued":
            self._queue.remove(job.id)
            job.status, job.completed = "cancelled", int(time.time())
            job.error = {"code": "cancelled", "message": "job cancelled by client"}
        return Reply(self._told(job))

    def _told(self, job: Job) -> dict[str, Any]:
        pictures = [{"index": number, "b64_json": picture} for number, picture in enumerate(job.pictures)]
        done = job.status == "completed"
        return {
            "id": job.id,
            "kind": "img_gen",
            "status": job.status,
            "created": job.created,
            "started": job.started,
            "completed": job.completed,
            "queue_position": self._queue.index(job.id) + 1 if job.id in self._queue else 0,
            "result": {"output_format": job.body.get("output_format", "png"), "images": pictures} if done else None,
            "error": job.error,
        }

    async def _work(self) -> None:
        while True:
            self._arrived.clear()
            while self._queue:
                job = self.jobs[self._queue.popleft()]
                job.status, job.started = "generating", int(time.time())
                await asyncio.sleep(self.seconds)
                await self.allowed.wait()
                self._finish(job)
            await self._arrived.wait()

    def _finish(self, job: Job) -> None:
        job.completed = int(time.time())
        if self.fails is not None:
            job.status, job.error = "failed", {"code": "generation_failed", "message": self.fails}
            self.fails = None
            return
        count = min(max(job.body.get("batch_count", 1), 1), 8)
        seed = job.body.get("seed", 42)
        numbers = [seed + number for number in range(count) for _ in range(self.layers)]
        job.pictures = [self.drawn(base64.b64encode(picture(job.body, number)).decode()) for number in numbers]
        job.status = "completed"

    def _capabilities(self) -> dict[str, Any]:
        guidance = {"txt_cfg": 7.0, "img_cfg": None, "distilled_guidance": 3.5}
        sampling = {"scheduler": "default", "sample_method": "default", "sample_steps": 20, "guidance": guidance}
        defaults = {"prompt": "", "width": 512, "height": 512, "strength": 0.75, "seed": 42, "sample_params": sampling}
        features = {"init_image": True, "mask_image": True, "cancel_queued": True, "cancel_generating": False}
        told: dict[str, Any] = {
            "model": {"name": "sd15.gguf", "stem": "sd15", "path": "/models/sd15.gguf"},
            "defaults": defaults,
            "features": features,
            "output_formats": ["png", "jpeg"],
            "samplers": SAMPLERS,
            "schedulers": ["discrete", "karras"],
            "loras": [],
            "limits": {"min_width": 64, "max_width": 4096, "min_height": 64, "max_height": 4096, "max_batch_count": 8,
                       "max_queue_size": self.max_pending_jobs},
        }  # fmt: skip
        if self.earlier:
            return told
        return told | {
            "current_mode": self.modes[0],
            "supported_modes": self.modes,
            "defaults_by_mode": dict.fromkeys(self.modes, defaults),
            "features_by_mode": dict.fromkeys(self.modes, features),
            "output_formats_by_mode": {mode: ["png", "jpeg"] for mode in self.modes},
        }


def picture(body: dict[str, Any], seed: int) -> bytes:
    """As large as asked, rounded up to eights, with the text that the library puts into its pictures."""
    width, height = (-(-body.get(side, 512) // 8) * 8 for side in ("width", "height"))
    colours = hashlib.sha256(f"{body['prompt']} {seed}".encode()).digest()
    drawn = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    drawn.paste((colours[0], colours[1], colours[2]), (0, 0, width // 2, height // 2))
    sampling = body.get("sample_params", {})
    negative = f"Negative prompt: {body['negative_prompt']}\n" if body.get("negative_prompt") else ""
    text = (
        f"{body['prompt']}\n{negative}Steps: {sampling.get('sample_steps', 20)}, "
        f"CFG scale: {sampling.get('guidance', {}).get('txt_cfg', 7.0):f}, Guidance: 3.500000, Eta: inf, Seed: {seed}, "
        f"Size: {width}x{height}, Model: sd15.gguf, RNG: cuda, Sampler: {sampling.get('sample_method', 'euler_a')} discrete, "
        f'Version: stable-diffusion.cpp, SDCPP: {{"seed":{seed}}}'
    )
    info = PngInfo()
    if body.get("embed_image_metadata", True):
        # As bytes of UTF-8, whatever the standard says.
        info.add(b"tEXt", b"parameters\0" + text.encode())
    file = io.BytesIO()
    drawn.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _opened(text: str) -> Image.Image:
    opened: Image.Image = Image.open(io.BytesIO(base64.b64decode(text.rpartition(",")[2])))
    opened.load()
    return opened


@contextmanager
def serving(server: Callable[[], SdServer] = SdServer) -> Iterator[SdServer]:
    """In a thread with a loop of its own, for what runs its own loop or is another process."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    made: list[SdServer] = []

    async def start() -> None:
        made.append(server())
        await made[0].start()
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(made[0].stop())
        loop.close()

    thread = threading.Thread(target=run, name="sd-server")
    thread.start()
    assert ready.wait(10)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
