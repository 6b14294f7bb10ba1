"""Models behind any endpoint that speaks OpenAI's API."""

from __future__ import annotations

import os
from typing import Any

from pydantic import SecretStr

from parlant_local.errors import ConfigurationError, SettingsError
from parlant_local.nlp.switcher import ModelSwitcher
from parlant_local.settings import EndpointSettings, Settings

__all__ = ["OpenAIService"]


class OpenAIService(ModelSwitcher):
    """``OpenAIService("gpt-4o")`` for OpenAI itself, by ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``;
    ``OpenAIService("qwen", base_url="http://127.0.0.1:8000/v1")`` for vLLM, llama-server and the like;
    ``OpenAIService("deepseek-chat", endpoint="deepseek")`` for a configured endpoint.

    An address that is not loopback needs ``allow_cloud`` ("always", or the setting). The rest is
    :class:`ModelSwitcher`'s with a single target.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        endpoint: str = "openai",
        base_url: str | None = None,
        api_key: str | None = None,
        settings: Settings | None = None,
        **arguments: Any,
    ) -> None:
        settings = settings or Settings()
        chosen = (model or settings.model or "").removeprefix(f"{endpoint}/")
        if not chosen:
            raise ConfigurationError("OpenAIService needs the name of a model.")
        if base_url is not None or api_key is not None:
            settings = _with_endpoint(settings, endpoint, base_url, api_key)
        elif endpoint != "openai" and endpoint not in settings.endpoints:
            known = ", ".join(sorted({"openai", *settings.endpoints}))
            raise SettingsError(
                f"The endpoint {endpoint!r} is not configured.", hint=f"Known: {known}. Configure endpoints.{endpoint}."
            )
        arguments.setdefault("fallbacks", ())
        super().__init__(default_model_id=f"{endpoint}/{chosen}", settings=settings, **arguments)


def _with_endpoint(settings: Settings, name: str, base_url: str | None, api_key: str | None) -> Settings:
    """``settings`` with the endpoint ``name`` at this address, its other settings kept."""
    present = settings.endpoints.get(name)
    if present is None:
        default = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        if base_url is None and name != "openai":
            raise SettingsError(f"The endpoint {name!r} needs a base_url.")
        present = EndpointSettings(base_url=base_url or default)
    changes: dict[str, Any] = {}
    if base_url is not None:
        changes["base_url"] = base_url
    if api_key is not None:
        changes |= {"api_key": SecretStr(api_key), "api_key_env": None, "api_key_file": None}
    endpoints = {**settings.endpoints, name: present.model_copy(update=changes)}
    return settings.model_copy(update={"endpoints": endpoints})
