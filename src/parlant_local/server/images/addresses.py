"""Where kept pictures are found, and whose they are."""

from __future__ import annotations

from fastapi import Request

from parlant_local.server.clients import Clients
from parlant_local.server.images.gallery import Entry
from parlant_local.settings import Settings

__all__ = ["address_of_entry"]


def address_of_entry(request: Request, entry: Entry, settings: Settings) -> str:
    """By the name that the client knows the server by."""
    base = request.base_url
    if Clients(settings.server.trusted_proxies).came_by_tls(request.scope, request.headers):
        base = base.replace(scheme="https")
    return f"{str(base).rstrip('/')}/images/{entry.name}"
