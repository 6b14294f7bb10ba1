"""Who answers a call, by the names that the conventions know."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from parlant_local.backends.base import ModelInfo

__all__ = ["IN_PROCESS", "provider_of", "server_of"]

IN_PROCESS = "llama_cpp"
"""Not among the well-known names, which are those of clouds; the conventions allow others."""
_COMPATIBLE = "openai"
"""For an endpoint that has OpenAI's API and no name of its own, as the conventions have it."""
_BY_HOST = {
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "moonshot.ai": "moonshot_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
}


def provider_of(info: ModelInfo, *, local: bool) -> str:
    if local:
        return IN_PROCESS
    if info.id.startswith("ollama/"):
        return "ollama"
    host = urlsplit(_address(info)).hostname or ""
    return next((name for end, name in _BY_HOST.items() if host == end or host.endswith(f".{end}")), _COMPATIBLE)


def server_of(info: ModelInfo) -> dict[str, Any]:
    """Address and port of the machine that a call goes to."""
    try:
        parts = urlsplit(_address(info))
        found: dict[str, Any] = {"server.address": parts.hostname} if parts.hostname else {}
        if parts.port is not None:
            found["server.port"] = parts.port
    except ValueError:  # a port that is none: the call says so
        return {}
    return found


def _address(info: ModelInfo) -> str:
    return info.metadata.get("base_url") or info.metadata.get("host") or ""
