"""Which model is taken where the owner named none, and why."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from parlant_local.backends.addresses import is_remote
from parlant_local.backends.ollama import daemon_url, runs_elsewhere
from parlant_local.catalog import LocalModel, LocalModelManager
from parlant_local.errors import EngineError, InvalidModelError, ModelNotFoundError, ParlantLocalError
from parlant_local.profiles.pretrained import says_base
from parlant_local.settings import Settings
from parlant_local.storage import parse_json
from parlant_local.switching.resolve import TargetResolver

__all__ = ["Choice", "choose_model", "daemon_models"]

_PROBE_SECONDS = 0.5
_MOST_MODELS = 8
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Choice:
    """A model id, and in one line why it was taken."""

    model: str
    reason: str
    notice: str = ""
    """What the owner should know about it."""


def choose_model(settings: Settings, manager: LocalModelManager) -> Choice:
    """The first of these that there is: the configured model; the largest catalogued chat model that fits in memory (the
    shipped one excluded); a model of an Ollama daemon on this machine; the first configured remote fallback, where remote
    targets are allowed always; the shipped model, with a notice.

    Looks at files, and asks a daemon on loopback at most; nothing else is opened.
    """
    if settings.model:
        return Choice(settings.model, f"it is configured ({settings.origin('model')})")
    catalogued = [model for model in manager.list_models() if model.chats and not model.shipped]
    too_big: list[str] = []
    for model in sorted(catalogued, key=lambda item: item.parameters or 0, reverse=True):
        if (problem := _does_not_fit(model, settings)) is None:
            others = f"; too big for this machine: {', '.join(too_big)}" if too_big else ""
            return Choice(model.id, f"it is the largest chat model in the catalogue that fits in memory{others}")
        too_big.append(f"{model.id} ({problem})")
    if found := daemon_models(settings):
        return Choice(f"ollama/{found[0]}", f"the Ollama daemon on this machine has it (among {len(found)})")
    if (remote := _allowed_remote(settings, manager)) is not None:
        return Choice(
            remote, "there is no model on this machine, and remote ones are allowed (switcher.allow_cloud=always)"
        )
    shipped = next((model for model in manager.list_models() if model.shipped), None)
    if shipped is None:
        raise ModelNotFoundError(
            "There is no model here.", hint="`parlant-local recommend` names some; `parlant-local pull` fetches one."
        )
    why = f"nothing that fits is there: {'; '.join(too_big)}" if too_big else "there is no other model"
    notice = (
        "It shows that everything works, but can't hold a conversation; `parlant-local recommend` names real models."
    )
    return Choice(shipped.id, why, notice)


def daemon_models(settings: Settings) -> list[str]:
    """Chat models of an Ollama daemon on this machine, the most recently changed first and base models last; none where
    nothing answers, or where the configured daemon is on another host."""
    url = daemon_url(settings.ollama.host)
    if is_remote(url):
        return []
    try:
        entries = sorted(_ask(f"{url}/api/tags")["models"], key=lambda item: str(item.get("modified_at")), reverse=True)
        names = [str(entry.get("model") or entry["name"]) for entry in entries[:_MOST_MODELS]]
        found = [name for name in names if not runs_elsewhere(name) and _chats(url, name)]
        return sorted(found, key=lambda name: says_base([name]) is True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # nothing there, or nothing that speaks Ollama's API


def _chats(url: str, name: str) -> bool:
    told = _ask(f"{url}/api/show", {"model": name}).get("capabilities")
    return told is None or "completion" in told  # older daemons don't tell


def _ask(url: str, body: dict[str, Any] | None = None) -> Any:
    # No proxy between this machine and itself, and no redirects away from it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    with opener.open(request, timeout=_PROBE_SECONDS) as response:
        return parse_json(response.read(_MOST_BYTES))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _does_not_fit(model: LocalModel, settings: Settings) -> str | None:
    """Why a model can't be loaded here, by its header and the free memory; ``None`` where it can."""
    from parlant_local.engine.sizing import plan
    from parlant_local.gguf_info import read_header

    assert model.path is not None
    try:
        plan(read_header(model.path), model.id, settings.engine)
    except (EngineError, InvalidModelError) as error:
        return error.message
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
            continue  # the switcher says what is wrong with it when it is made
    return None
