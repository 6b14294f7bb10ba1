"""Which models make pictures here, and what serves each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from typing import Any, Self

from parlant_local.backends.context import BackendContext
from parlant_local.catalog import LocalModelManager
from parlant_local.engine.pool import ModelPool
from parlant_local.errors import ModelNotFoundError, ParlantLocalError
from parlant_local.images.base import ImageBackend, ImageModel
from parlant_local.images.guarded import GuardedImages
from parlant_local.images.local import LocalImages
from parlant_local.images.registry import ENDPOINT, IMAGE_BACKENDS, kind_of
from parlant_local.observability import Logger, NullLogger
from parlant_local.settings import Settings

__all__ = ["ImageDirectory"]


class ImageDirectory:
    """The models that the settings name (``images.model``, ``images.served``), and this machine's: those of ``images.models``,
    and of the catalogue those that make pictures.

    ``<endpoint>`` and ``<endpoint>/<model>`` are an endpoint's, ``openai/<model>`` OpenAI's own, ``<plug-in>/<model>`` a plug-in's.
    Opens one backend per model, at its first use. Belongs to one event loop.
    """

    def __init__(
        self,
        settings: Settings,
        logger: Logger | None = None,
        *,
        manager: LocalModelManager | None = None,
        pool: ModelPool[Any] | None = None,
    ) -> None:
        """``pool``: the language models that those of this machine share their memory with."""
        self._settings, self._logger = settings, logger or NullLogger()
        self._manager = manager or LocalModelManager(self._logger, settings=settings)
        self._pool = pool
        self._open: dict[str, ImageBackend] = {}

    def models(self) -> list[ImageModel]:
        """Those that a request may name; the default one first. One whose settings are wrong is left out, with a warning."""
        found: list[ImageModel] = []
        for name in self._names():
            try:
                opened = self._open.get(name)
                found.append(opened.model_info() if opened is not None else self._placed(name)[0]())
            except ParlantLocalError as error:
                self._logger.warning(f"{name} can't make pictures: {error}")
        return found

    def backend(self, name: str | None = None) -> ImageBackend:
        """The backend of a model, or of the default one. Nothing is loaded yet.

        Raises :class:`ModelNotFoundError` for what :meth:`models` doesn't list, and what is wrong with its settings.
        """
        chosen = self._chosen(name)
        if chosen not in self._open:
            self._open[chosen] = GuardedImages(self._placed(chosen)[1](), self._settings, self._logger)
        return self._open[chosen]

    async def close(self) -> None:
        while self._open:
            await self._open.popitem()[1].close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _names(self) -> list[str]:
        images = self._settings.images
        named = ([images.model] if images.model else []) + list(images.served)
        return list(dict.fromkeys([*named, *images.models, *self._catalogued()]))

    def _catalogued(self) -> list[str]:
        own = {each.path for each in self._settings.images.models.values()}
        return [each.id for each in self._manager.list_models() if each.makes_pictures and each.id not in own]

    def _room(self, name: str, guest: LocalImages) -> AbstractAsyncContextManager[object]:
        assert self._pool is not None
        return self._pool.host(f"images.models.{name}", guest)

    def _chosen(self, name: str | None) -> str:
        names = self._names()
        if name is None:
            if self._settings.images.model or len(names) == 1:
                return names[0]
            raise self._nothing_named(names)
        if (found := next((each for each in names if _same(each, name)), None)) is None:
            raise ModelNotFoundError(
                f"No model {name!r} makes pictures here.",
                near=get_close_matches(name, names, 3),
                hint=f"These do: {', '.join(names)}." if names else "Name one in the settings: images.model.",
            )
        return found

    def _nothing_named(self, names: list[str]) -> ModelNotFoundError:
        if names:
            return ModelNotFoundError(
                "Several models make pictures here, and none is the default one.",
                hint=f"Set images.model to one of {', '.join(names)}, or name one.",
            )
        known = (
            f" Endpoints that are configured: {', '.join(self._settings.endpoints)}."
            if self._settings.endpoints
            else ""
        )
        return ModelNotFoundError(
            "No model here makes pictures.", hint=f"Name one in the settings: images.model (<endpoint>/<model>).{known}"
        )

    def _placed(self, reference: str) -> tuple[Callable[[], ImageModel], Callable[[], ImageBackend]]:
        """What is known of a model, and what opens it."""
        if reference in (*self._settings.images.models, *self._catalogued()):
            room = None if self._pool is None else self._room
            here = LocalImages(reference, self._settings, manager=self._manager, room=room, logger=self._logger)
            return here.model_info, lambda: here
        prefix, _, name = reference.partition("/")
        endpoint = prefix in self._settings.endpoints
        if not endpoint and prefix not in ("openai", *IMAGE_BACKENDS.plugins):
            raise ModelNotFoundError(
                f"{reference!r} is no model that makes pictures: no endpoint is called {prefix!r}.",
                near=get_close_matches(prefix, list(self._settings.endpoints), 2),
                hint="Configure it: endpoints.NAME.base_url, and images.model: NAME.",
            )
        switcher = self._settings.switcher
        allowed = switcher.allow_cloud != "never" and not self._settings.offline
        context = BackendContext(prefix, self._settings, self._logger, allowed)
        kind = IMAGE_BACKENDS.get(ENDPOINT) if endpoint else kind_of(prefix)
        return (
            lambda: IMAGE_BACKENDS.attributed(prefix, lambda: kind.info_of(name, context)),
            lambda: IMAGE_BACKENDS.attributed(prefix, lambda: kind.from_reference(name, context)),
        )


def _same(known: str, named: str) -> bool:
    """An ``sd-server`` has one model, which it calls ``sd-cpp-local``."""
    return known.removesuffix("/sd-cpp-local") == named.removesuffix("/sd-cpp-local")
