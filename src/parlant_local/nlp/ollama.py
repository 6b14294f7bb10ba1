"""Models that an Ollama daemon runs."""

from __future__ import annotations

from typing import Any

from parlant_local.errors import ConfigurationError
from parlant_local.nlp.switcher import ModelSwitcher
from parlant_local.settings import Settings

__all__ = ["OllamaService"]


class OllamaService(ModelSwitcher):
    """``OllamaService(model="llama3.2:3b")``: one model of a daemon, by default the one on this machine.

    A daemon on another host (``host``, ``ollama.host`` or ``OLLAMA_HOST``) is remote and needs ``allow_cloud``. The rest,
    breaker, retries and statistics included, is :class:`ModelSwitcher`'s with a single target.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        host: str | None = None,
        num_ctx: int | None = None,
        settings: Settings | None = None,
        **arguments: Any,
    ) -> None:
        settings = settings or Settings()
        chosen = (model or settings.model or "").removeprefix("ollama/")
        if not chosen:
            raise ConfigurationError("OllamaService needs the name of a model.", hint="Such as llama3.2:3b.")
        stated = {"host": host, "num_ctx": num_ctx}
        changes = {name: value for name, value in stated.items() if value is not None}
        if changes:
            daemon = type(settings.ollama).model_validate({**dict(settings.ollama), **changes})
            settings = settings.model_copy(update={"ollama": daemon})
        arguments.setdefault("fallbacks", ())
        super().__init__(default_model_id=f"ollama/{chosen}", settings=settings, **arguments)
