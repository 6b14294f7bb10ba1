"""How models are served over HTTP: address, browsers, keys, limits, logs, and names."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from parlant_local.settings.section import Section

__all__ = [
    "AuthSettings",
    "CorsSettings",
    "LimitSettings",
    "LoggingSettings",
    "ServedModelSettings",
    "ServerSettings",
]


class ServerSettings(Section):
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs API keys (section auth)."""

    port: int = Field(default=8080, ge=0, le=65535)
    """0 picks a free port, which is logged."""

    page: bool = True
    """Serve the web page at ``/``."""

    docs: bool = True
    """Serve Swagger UI at ``/docs`` and ReDoc at ``/redoc``."""

    allowed_hosts: tuple[str, ...] = ()
    """Host names that clients may use for this server. Empty: on loopback only loopback names, so that no other website can
    reach it through DNS rebinding; any name on other addresses."""

    keep_alive_seconds: float = Field(default=10.0, gt=0)
    """A stream without data for this long sends a comment, so that proxies and clients keep the connection open."""

    shutdown_seconds: float = Field(default=30.0, ge=0)
    """How long requests in progress may take to finish after SIGTERM; then they are aborted with an error."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies in front, such as ``127.0.0.1`` or ``10.1.0.0/16``, whose X-Forwarded-For names
    the client. Empty: the address of the connection is used, and the header is ignored."""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each, strict=False)
        return value

    connections: int = Field(default=512, ge=1, le=65_536)
    """Maximum open connections; further ones get 503. Idle ones are closed first."""

    header_kb: int = Field(default=16, ge=4, le=1024)
    """Maximum size of the request line and headers, in KiB."""

    header_seconds: float = Field(default=15.0, gt=0)
    """A connection whose next request line and headers are not complete within this time is closed."""

    body_seconds: float = Field(default=120.0, gt=0)
    """A request whose body is not complete within this time is rejected."""

    idle_seconds: float = Field(default=30.0, gt=0)
    """How long an idle connection is kept open for another request."""

    write_seconds: float = Field(default=60.0, gt=0)
    """A client that reads almost nothing of its response for this long (less than 64 KiB, where more is pending) is disconnected, and
    its work is cancelled."""


class CorsSettings(Section):
    """Which websites may call this server from a browser."""

    origins: tuple[str, ...] = ()
    """Such as ``https://chat.example.org``; ``*`` allows any, without credentials. Empty: none."""


class AuthSettings(Section):
    """Who may call the server. Without keys, every program on this machine may do everything."""

    key_file: Path | None = None
    """API keys for using models. One per line, or ``name:key``; empty lines and lines that start with ``#`` are skipped."""

    admin_key_file: Path | None = None
    """API keys for using and administering models: downloads, loading, deleting, status, metrics. The same format."""

    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """One API key for using models, from the environment only (PARLANT_LOCAL_AUTH__API_KEY)."""

    admin_api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """One API key for administration too, from the environment only (PARLANT_LOCAL_AUTH__ADMIN_API_KEY)."""


class LimitSettings(Section):
    """Limits of one client's requests. ``None``: no limit."""

    body_mb: float = Field(default=8.0, gt=0, le=1024)
    """Size of a request, in MiB."""

    body_values: int = Field(default=400_000, ge=1000, le=5_000_000)
    """Values in the JSON of one request, where a list or an object counts as four: small ones take far more memory
    and time than their length suggests."""

    body_depth: int = Field(default=128, ge=16, le=500)
    """Nesting depth of the JSON of one request."""

    name_characters: int = Field(default=512, ge=64, le=4096)
    """Characters of a name in a request: of a model, a tool, a user."""

    messages: int = Field(default=1024, ge=1)
    """Messages of one conversation."""

    message_characters: int = Field(default=1_000_000, ge=1)
    """Characters of one message, prompt or text."""

    texts: int = Field(default=2048, ge=1)
    """Texts to embed, or documents to rank, in one request."""

    token_ids: int = Field(default=300_000, ge=1)
    """Token ids in one request, over all prompts or inputs."""

    parts: int = Field(default=4096, ge=1)
    """Parts of all messages of a conversation together."""

    tools: int = Field(default=256, ge=1)
    """Tools of one request."""

    tool_calls: int = Field(default=4096, ge=1)
    """Calls in all messages of a conversation together."""

    stops: int = Field(default=16, ge=1, le=16)
    """Stop sequences of one request."""

    stop_characters: int = Field(default=1024, ge=1)
    """Characters of one stop sequence."""

    logit_biases: int = Field(default=4096, ge=1)
    """Tokens in ``logit_bias``."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Token limit of one answer; a request for more is rejected, and one without a limit gets this one."""

    choices: int = Field(default=8, ge=1, le=32)
    """Answers to one request (``n``)."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    """Per key; per address where there are no keys. GET requests don't count."""

    concurrent_requests: int | None = Field(default=None, ge=1)
    """Requests in progress at once, per key or address."""

    downloads: int = Field(default=4, ge=1)
    """Model downloads at once, over all clients."""

    download_gb: float | None = Field(default=100.0, gt=0)
    """Size of a model (all its files) that a client may download, in GB (10^9 bytes)."""

    downloads_gb_a_day: float | None = Field(default=500.0, gt=0)
    """Total size that all clients may download within 24 hours, in GB."""

    models_gb: float | None = Field(default=None, gt=0)
    """Size of the models folder beyond which clients may not download more, in GB."""


class LoggingSettings(Section):
    format: Literal["auto", "console", "json"] = "auto"
    """auto: console in a terminal, JSON lines otherwise."""

    file: Path | None = None
    """Log to this file instead of standard error."""

    max_mb: float = Field(default=10.0, gt=0)
    """A log file that grows beyond this (MiB) is rotated."""

    backups: int = Field(default=5, ge=0)
    """Rotated files that are kept."""

    agent_calls: bool = True
    """Keep figures (no content) of an agent's last calls in the home, in ``agents``, for the page's agent view."""

    content: bool = False
    """Also log prompts and answers. Off: never any of their content."""


class ServedModelSettings(Section):
    """A model under a name of your choice; what is not given is taken from the section engine."""

    model: str
    """Catalogue id, reference or GGUF path."""

    n_ctx: int | None = Field(default=None, ge=16)
    n_gpu_layers: int | None = None
    n_threads: int | None = Field(default=None, ge=1)
    adapters: str | None = None
    """LoRA adapters on it, by name: ``ONE+TWO@0.5``."""

    chat_format: str | None = None
    """Another chat template: a name, or Jinja text."""

    preload: bool = False
    """Load it at startup; ``/health`` returns 503 until then."""
