"""Whether the network may be used. A separate check, since huggingface_hub reads its variable once, at import."""

from __future__ import annotations

import os

from parlant_local.errors import OfflineError

__all__ = ["check_online", "offline_by_environment"]

_TRUE = ("1", "on", "yes", "true")


def offline_by_environment() -> str | None:
    """The environment variable that asks for offline mode, if one does."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").strip().lower() in _TRUE:
            return name
    return None


def check_online(offline: bool, purpose: str) -> None:
    """Raise :class:`OfflineError` before anything that would open a socket."""
    variable = offline_by_environment()
    if offline or variable:
        because = f"{variable} is set" if variable else "offline mode is on"
        raise OfflineError(
            f"{purpose} needs the network, but {because}.",
            hint="`parlant-local list` shows the available models; `parlant-local add FILE` adds a file that you have.",
        )
