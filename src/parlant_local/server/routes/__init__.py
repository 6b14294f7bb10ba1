"""One file per concern; each has a router, listed here."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter

from parlant_local.server.routes import (
    adapters,
    admin,
    audio,
    chat,
    completions,
    control,
    description,
    documentation,
    embeddings,
    gallery,
    health,
    images,
    infill,
    insight,
    messages,
    models,
    moderation,
    page,
    responses,
    simple,
    slots,
    tokenization,
)
from parlant_local.settings import ServerSettings

__all__ = ["routers"]

# In the order of the API's description.
_ALWAYS = (
    chat,
    control,
    messages,
    responses,
    completions,
    infill,
    embeddings,
    audio,
    moderation,
    images,
    gallery,
    models,
    admin,
    adapters,
    slots,
    health,
    insight,
    tokenization,
    simple,
    description,
)


def routers(settings: ServerSettings) -> Iterator[APIRouter]:
    """The routers of this server."""
    for module in _ALWAYS:
        yield module.router
    if settings.docs:
        yield documentation.router
    if settings.page:
        yield page.router
