"""Any endpoint that makes pictures by OpenAI's API: ``/images/generations`` and ``/images/edits``."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from parlant_local.backends.failures import from_status
from parlant_local.backends.openai_reading import error_of
from parlant_local.errors import BackendError, BadRequestError, InvalidOutputError, TransientError, UnsupportedCallError
from parlant_local.images.answers import picture_bytes
from parlant_local.images.base import (
    ImageBackend,
    ImageModel,
    ImageProgress,
    ImageReply,
    ImageRequest,
    OnProgress,
    Picture,
)
from parlant_local.images.connection import EndpointConnection, FormFile
from parlant_local.images.pictures import alpha_mask, most_bytes, need_decoder, picture_of
from parlant_local.images.sources import read_sources
from parlant_local.settings.images import ImageSettings

__all__ = ["OpenAIImages"]

_OPENAIS_OWN = re.compile(r"(gpt-image|chatgpt-image|dall-e)", re.IGNORECASE)
_REFUSED = re.compile(
    r"support|unrecogni[sz]ed|unknown|extra|not permitted|unexpected|invalid|must|only", re.IGNORECASE
)
_SMALL = 1 << 20


class OpenAIImages(ImageBackend):
    """One model behind an endpoint. What an endpoint refuses (``response_format``, ``n``) is left out from then on."""

    def __init__(self, id: str, model: str, connection: EndpointConnection, settings: ImageSettings) -> None:
        self._id, self._model, self._connection, self._settings = id, model, connection, settings
        self._plain = _OPENAIS_OWN.match(model) is not None
        """Whether it takes OpenAI's own parameters only."""
        self._says_format = not (self._plain and "gpt-image" in model)
        """Whether it has to be asked for the picture itself; the newer models send nothing else, and refuse the question."""
        self._one_at_a_time = False
        self._answered = False

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        need_decoder()
        self._check(request)
        asked = await read_sources(request, self._settings)
        begun = time.monotonic()
        pictures: list[Picture] = []
        while len(pictures) < asked.count:
            if on_progress is not None:
                on_progress(ImageProgress(0, 0, len(pictures) + 1, asked.count))
            made = await self._some(asked, len(pictures))
            pictures += made[: asked.count - len(pictures)]
        seconds = time.monotonic() - begun
        return ImageReply(tuple(pictures), self._id, asked.steps, asked.guidance, None, seconds)

    def model_info(self) -> ImageModel:
        return ImageModel(
            self._id,
            name=self._model,
            remote=self._connection.remote,
            edits=True,
            controls=not self._plain,
            loaded=self._answered,
        )

    async def close(self) -> None:
        await self._connection.close()

    def _check(self, request: ImageRequest) -> None:
        own: dict[str, Any] = {"sampler": request.sampler}
        if self._plain:
            own |= {
                "negative prompt": request.negative_prompt,
                "steps": request.steps,
                "guidance": request.guidance,
                "seed": request.seed,
                "strength": request.strength,
            }
        for name, value in own.items():
            if value not in (None, ""):
                raise UnsupportedCallError(f"{self._id} takes no {name}.", hint="Leave it out, or use another model.")

    async def _some(self, request: ImageRequest, done: int) -> list[Picture]:
        """As many of the pictures that are left as the endpoint makes at once."""
        while True:
            count = 1 if self._one_at_a_time else request.count - done
            try:
                data = await self._answer(self._body(request, done, count), request)
            except BadRequestError as error:
                if not self._learnt(error, count):
                    raise
                continue
            made = await self._pictures(data)
            if len(made) < count:
                self._one_at_a_time = True
            return made

    def _body(self, request: ImageRequest, done: int, count: int) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._model, "prompt": request.prompt}
        if count > 1:
            body["n"] = count
        if request.width is not None and request.height is not None:
            body["size"] = f"{request.width}x{request.height}"
        if self._says_format:
            body["response_format"] = "b64_json"
        if self._plain:
            return body
        extra = {  # as diffusers calls them, and the servers over it
            "negative_prompt": request.negative_prompt or None,
            "num_inference_steps": request.steps,
            "guidance_scale": request.guidance,
            "seed": None if request.seed is None else request.seed + done,
            "strength": request.strength,
        }
        return body | {name: value for name, value in extra.items() if value is not None}

    async def _answer(self, body: dict[str, Any], request: ImageRequest) -> Any:
        url = f"{self._connection.base_url}/images"
        limit = _SMALL + self._settings.max_count * most_bytes(self._settings) * 4 // 3
        if not request.sources:
            _, data = await self._connection.post(f"{url}/generations", body, limit=limit)
        else:
            fields = {name: str(value) for name, value in body.items()}
            try:
                _, data = await self._connection.post_form(f"{url}/edits", fields, _files(request), limit=limit)
            except BackendError as error:
                if error.status in (404, 405) and "model" not in error.message.partition(":")[2].lower():
                    raise UnsupportedCallError(
                        f"{self._id} can't start from pictures: the endpoint has no /images/edits.", status=error.status
                    ) from None
                raise
        if (error_told := error_of(data)) is not None:
            raise from_status(self._id, *error_told)
        self._answered = True
        return data

    def _learnt(self, error: BadRequestError, count: int) -> bool:
        """Whether it was refused for something that can be left out."""
        if error.status not in (400, 422) or not _REFUSED.search(error.message):
            return False
        if self._says_format and "response_format" in error.message:
            self._says_format = False
            return True
        if count > 1 and re.search(r"\bn\b", error.message):
            self._one_at_a_time = True
            return True
        return False

    async def _pictures(self, data: Any) -> list[Picture]:
        items = data.get("data") if isinstance(data, Mapping) else None
        if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
            raise TransientError(f"{self._id} sent a response that does not match OpenAI's API.")
        if not items:
            raise InvalidOutputError(f"{self._id} answered without a picture.")
        return [await self._picture(item) for item in items[: self._settings.max_count]]

    async def _picture(self, item: Mapping[str, Any]) -> Picture:
        text, url = item.get("b64_json"), item.get("url")
        if isinstance(text, str) and text:
            data = await picture_bytes(text, self._id)
        elif isinstance(url, str) and url.startswith("data:"):
            data = await picture_bytes(url, self._id)
        elif isinstance(url, str) and url:
            data = await self._connection.file(url, limit=most_bytes(self._settings))
        else:
            raise InvalidOutputError(f"{self._id} answered without a picture.")
        seed = item.get("seed")
        told = seed if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 else None
        return await picture_of(data, self._id, self._settings, seed=told)


def _files(request: ImageRequest) -> list[FormFile]:
    field = "image" if len(request.sources) == 1 else "image[]"
    files: list[FormFile] = [
        (field, (f"image-{number}.png", data, "image/png")) for number, data in enumerate(request.sources, 1)
    ]
    if request.mask is not None:
        files.append(("mask", ("mask.png", alpha_mask(request.mask), "image/png")))
    return files
