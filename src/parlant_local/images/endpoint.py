"""A configured endpoint that makes pictures, whichever of its APIs it does so by."""

from __future__ import annotations

import asyncio
import os
from typing import Self

from parlant_local.backends.addresses import is_remote
from parlant_local.backends.context import BackendContext
from parlant_local.backends.keys import check_key_origin, read_key
from parlant_local.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    InvalidOutputError,
    SettingsError,
    TargetDownError,
    TransientError,
)
from parlant_local.images.base import ImageBackend, ImageModel, ImageReply, ImageRequest, OnProgress
from parlant_local.images.connection import EndpointConnection
from parlant_local.images.openai import OpenAIImages
from parlant_local.images.sd_server import SdServerImages
from parlant_local.images.sd_wire import Capabilities
from parlant_local.observability import Logger
from parlant_local.settings.images import ImageSettings

__all__ = ["EndpointImages"]

_OPENAI = "https://api.openai.com/v1"
_SD_CPP = "sd-cpp-local"
_PROBE_SECONDS = 10.0
_MAX_CAPABILITIES = 8 << 20


class EndpointImages(ImageBackend):
    """One model of an endpoint. At the first call it is asked once whether it is stable-diffusion.cpp's ``sd-server``, whose own API
    tells more than OpenAI's; ``model`` may be empty for that."""

    def __init__(
        self,
        name: str,
        model: str,
        *,
        base_url: str,
        api_key: str | None = None,
        allow_remote: bool = False,
        settings: ImageSettings | None = None,
        logger: Logger,
    ) -> None:
        self.id = f"{name}/{model}" if model else name
        self._settings = settings or ImageSettings()
        self._connection = EndpointConnection(
            self.id,
            base_url=base_url,
            owner=name,
            api_key=api_key,
            timeout=self._settings.timeout_seconds,  # no byte comes while a picture is drawn
            allow_remote=allow_remote,
        )
        self._name, self._logger = name, logger
        self._openai = OpenAIImages(self.id, model, self._connection, self._settings)
        self._found: ImageBackend | None = self._openai if name == "openai" else None
        self._finding = asyncio.Lock()
        self._model = model

    @classmethod
    def from_reference(cls, name: str, context: BackendContext) -> Self:
        """Its key is read here, so that a missing one shows at once."""
        return cls._made(name, context, with_key=True)

    @classmethod
    def info_of(cls, name: str, context: BackendContext) -> ImageModel:
        return cls._made(name, context, with_key=False).model_info()

    @classmethod
    def _made(cls, name: str, context: BackendContext, *, with_key: bool) -> Self:
        endpoint = context.settings.endpoints.get(context.prefix)
        if endpoint is None:
            if not name:
                raise SettingsError(
                    "OpenAI's endpoint needs the name of a model.", hint="Write openai/gpt-image-1, for example."
                )
            url, key = os.environ.get("OPENAI_BASE_URL") or _OPENAI, os.environ.get("OPENAI_API_KEY")
            if with_key and not key and is_remote(url):
                raise AuthenticationError(f"openai/{name} needs an API key.", hint="Set OPENAI_API_KEY.")
        else:
            check_key_origin(context.prefix, endpoint, context.settings)
            url, key = endpoint.base_url, read_key(context.prefix, endpoint) if with_key else None
        return cls(
            context.prefix,
            name,
            base_url=url,
            api_key=key,
            allow_remote=context.allow_remote,
            settings=context.settings.images,
            logger=context.logger,
        )

    async def generate(self, request: ImageRequest, on_progress: OnProgress | None = None) -> ImageReply:
        backend = await self._backend()
        try:
            return await backend.generate(request, on_progress)
        except TargetDownError:
            if backend is self._found is not self._openai:
                self._found = None  # who answers there next may be another, or have another model
            raise

    async def load(self) -> None:
        """Asks what the endpoint is. One that can't be reached is an error."""
        await self._backend()

    def model_info(self) -> ImageModel:
        return (self._found or self._openai).model_info()

    async def close(self) -> None:
        await self._connection.close()

    async def _backend(self) -> ImageBackend:
        async with self._finding:
            if self._found is not None:
                return self._found
            found, certain = await self._probed()
            if certain:
                self._found = found
            return found

    async def _probed(self) -> tuple[ImageBackend, bool]:
        """What it is, and whether that may be remembered: an answer in trouble proves nothing."""
        certain = True
        known: Capabilities | None = None
        try:
            url = f"{self._connection.root}/sdcpp/v1/capabilities"
            _, data = await self._connection.get(url, limit=_MAX_CAPABILITIES, timeout=_PROBE_SECONDS)
            known = Capabilities.of(data)
        except (BackendError, BadRequestError) as error:
            if error.status is None and not isinstance(error, TransientError):  # nobody answered
                raise
            certain = error.status in (None, 400, 401, 403, 404, 405)
        except InvalidOutputError as error:
            self._logger.debug(f"{self.id} is no sd-server: {error}")
        if known is not None:
            self._logger.debug(f"{self.id} is stable-diffusion.cpp's server with the model {known.model}.")
            return SdServerImages(self.id, self._connection, known, self._settings, self._logger), True
        if not self._model or self._model == _SD_CPP:
            raise BadRequestError(
                f"The endpoint {self._name!r} is no sd-server of stable-diffusion.cpp, so that its model has to be named.",
                hint=f"Write {self._name}/MODEL.",
            )
        return self._openai, certain
