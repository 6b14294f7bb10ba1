"""Models as replicas of a Ray Serve application, and the rule by which a call finds its replica.

Names are loaded lazily: everything but :mod:`parlant_local.ray.affinity` needs the extra ``ray``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parlant_local.ray.cluster import build as build
    from parlant_local.ray.composing import application as application
    from parlant_local.ray.local import serve as serve

_HOMES = {
    "application": "parlant_local.ray.composing",
    "build": "parlant_local.ray.cluster",
    "serve": "parlant_local.ray.local",
}

__all__ = ["application", "build", "serve"]


def __getattr__(name: str) -> Any:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in ("ray", "fastapi", "starlette"):
            raise ImportError(
                f"Replicas need {error.name}, which is not installed. Run: pip install 'parlant-local[ray]'"
            ) from error
        raise
