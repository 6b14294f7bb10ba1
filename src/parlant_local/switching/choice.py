"""Which model is the default where none is configured, and why."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Collection
from typing import Any

from parlant_local.backends.addresses import is_remote
from parlant_local.backends.choice import Choice, choose_local
from parlant_local.backends.ollama import daemon_url, is_cloud_model
from parlant_local.catalog import LocalModelManager
from parlant_local.errors import ModelNotFoundError, ParlantLocalError
from parlant_local.profiles.pretrained import says_base
from parlant_local.settings import Settings
from parlant_local.storage import parse_json
from parlant_local.switching.resolve import TargetResolver

__all__ = ["Choice", "choose_model", "daemon_models"]

_PROBE_SECONDS = 0.5
_MAX_MODELS = 8
_MAX_BYTES = 4 * 1024 * 1024


def choose_model(settings: Settings, manager: LocalModelManager, *, loaded: Collection[str] = ()) -> Choice:
    """The one rule for the default model: the configured one; the largest catalogued chat model that fits in memory (the
    shipped one excluded); a model of an Ollama daemon on this machine; the first configured remote fallback, where remote
    targets are allowed always; the shipped model, with a notice. ``loaded``: ids of models that are loaded already.

    Reads files, and queries a daemon on loopback at most; nothing else is opened.
    """
    missing: ModelNotFoundError | None = None
    try:
        here = choose_local(settings, manager, loaded=loaded)
        if not here.last_resort:
            return here
    except ModelNotFoundError as error:
        missing = error
    if found := daemon_models(settings):
        return Choice(f"ollama/{found[0]}", f"the Ollama daemon on this machine serves it (one of {len(found)} models)")
    if (remote := _allowed_remote(settings, manager)) is not None:
        return Choice(
            remote, "no model is installed on this machine, and remote models are allowed (switcher.allow_cloud=always)"
        )
    if missing is not None:
        raise missing
    return here


def daemon_models(settings: Settings) -> list[str]:
    """Chat models of an Ollama daemon on this machine, the most recently changed first and base models last; none where
    nothing answers, or where the configured daemon is on another host."""
    url = daemon_url(settings.ollama.host)
    if is_remote(url):
        return []
    try:
        entries = sorted(_ask(f"{url}/api/tags")["models"], key=lambda item: str(item.get("modified_at")), reverse=True)
        names = [str(entry.get("model") or entry["name"]) for entry in entries[:_MAX_MODELS]]
        found = [name for name in names if not is_cloud_model(name) and _chats(url, name)]
        return sorted(found, key=lambda name: says_base([name]) is True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # no daemon, or something else on its port


def _chats(url: str, name: str) -> bool:
    capabilities = _ask(f"{url}/api/show", {"model": name}).get("capabilities")
    return capabilities is None or "completion" in capabilities  # older daemons don't report them


def _ask(url: str, body: dict[str, Any] | None = None) -> Any:
    # No proxy between this machine and itself, and no redirects away from it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    with opener.open(request, timeout=_PROBE_SECONDS) as response:
        return parse_json(response.read(_MAX_BYTES))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _allowed_remote(settings: Settings, manager: LocalModelManager) -> str | None:
    if settings.switcher.allow_cloud != "always" or settings.offline:
        return None
    resolver = TargetResolver(settings, manager=manager)
    for model in settings.switcher.fallbacks:
        try:
            if resolver.target(model).remote:
                return model
        except ParlantLocalError:
            continue  # the switcher reports what is wrong with it
    return None
