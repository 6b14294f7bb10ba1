"""The OpenAI-compatible server: an ASGI app, its page, and the process that runs it.

Names are loaded lazily: everything below needs the extra ``server``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlant_local.server.app import create_app as create_app
    from parlant_local.server.serving import serve as serve

_HOMES = {"create_app": "parlant_local.server.app", "serve": "parlant_local.server.serving"}

__all__ = ["create_app", "serve"]


def __getattr__(name: str) -> Any:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name in ("fastapi", "starlette", "uvicorn", "prometheus_client"):
            raise ImportError(
                f"The server needs {error.name}, which is not installed. Run: pip install 'parlant-local[server]'"
            ) from error
        raise
