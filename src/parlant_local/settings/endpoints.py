"""Other backends: an Ollama daemon, and endpoints with an OpenAI-compatible API."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from parlant_local.settings.section import Section

__all__ = ["EndpointSettings", "OllamaSettings"]


class OllamaSettings(Section):
    host: str | None = None
    """Address of the daemon; None: OLLAMA_HOST, else http://127.0.0.1:11434."""

    num_ctx: int | None = Field(default=None, ge=256)
    """Context sent with every call, always the same one. None: the model's own, up to 32768."""

    keep_alive: str = "30m"


class EndpointSettings(Section):
    """An endpoint with an OpenAI-compatible API; its models are ``<name>/<model>``."""

    base_url: str
    api_key_env: str | None = None
    """Environment variable that holds its key. Keys don't belong in settings files."""

    api_key_file: str | None = None
    """File that holds its key."""

    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """Only from the environment (PARLANT_LOCAL_ENDPOINTS__NAME__API_KEY)."""

    n_ctx: int | None = Field(default=None, ge=256)
    """Context window of its models, in tokens, where the endpoint does not report it."""

    dialect: Literal["auto", "json_schema", "json_object_schema", "json_object", "prompt"] = "auto"
    """Which form of schema it accepts; auto: probed once."""

    timeout_seconds: float = Field(default=60.0, gt=0)

    affinity: bool = False
    """Tell it in headers which calls belong together, by a digest of the conversation's id and by the schema's name: our own server and its
    replicas then keep them where their prompts' beginnings are computed."""
