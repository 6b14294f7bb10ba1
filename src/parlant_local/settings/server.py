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
    """0 takes a free one, which the log names."""

    page: bool = True
    """Serve the web page at ``/``."""

    docs: bool = True
    """Serve Swagger UI at ``/docs`` and ReDoc at ``/redoc``."""

    allowed_hosts: tuple[str, ...] = ()
    """Names that clients may use for this server. Empty: on loopback only loopback names, so that no foreign website can
    reach it by a name of its own; elsewhere any."""

    keep_alive_seconds: float = Field(default=10.0, gt=0)
    """A stream that has nothing to say for this long sends a comment, so that proxies and clients keep waiting."""

    shutdown_seconds: float = Field(default=30.0, ge=0)
    """How long requests under way may take to finish after SIGTERM; then they end with an error."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies in front, such as ``127.0.0.1`` or ``10.1.0.0/16``, whose X-Forwarded-For says who
    the client is. Empty: the address of the connection counts, whatever a header says."""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each, strict=False)
        return value

    connections: int = Field(default=512, ge=1, le=65_536)
    """Open at once; more are answered with 503. Those without a request are closed first."""

    header_kb: int = Field(default=16, ge=4, le=1024)
    """Size of a request's first line and headers, in KiB."""

    header_seconds: float = Field(default=15.0, gt=0)
    """A connection whose next request has not come with all its headers by then is closed."""

    body_seconds: float = Field(default=120.0, gt=0)
    """A request whose body is not here by then is refused."""

    idle_seconds: float = Field(default=30.0, gt=0)
    """A connection is kept open for another request this long."""

    write_seconds: float = Field(default=60.0, gt=0)
    """A client that reads next to nothing of its answer for this long (less than 64 KiB, where there is more) is cut off, and
    the work for it is stopped."""


class CorsSettings(Section):
    """Which websites may call this server from a browser."""

    origins: tuple[str, ...] = ()
    """Like ``https://chat.example.org``; ``*`` is any, and then cookies and logins are never sent. Empty: none."""


class AuthSettings(Section):
    """Who may call. Without keys, everybody on this machine, for everything."""

    key_file: Path | None = None
    """Keys for asking models. One a line, or ``name:key``; empty lines and lines that begin with ``#`` are skipped."""

    admin_key_file: Path | None = None
    """Keys for asking and for administering: downloads, loading, deleting, status, metrics. The same format."""

    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """One key for asking, from the environment only (PARLANT_LOCAL_AUTH__API_KEY)."""

    admin_api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """One key for administering too, from the environment only (PARLANT_LOCAL_AUTH__ADMIN_API_KEY)."""


class LimitSettings(Section):
    """What one client may ask for. ``None``: no limit."""

    body_mb: float = Field(default=8.0, gt=0, le=1024)
    """Size of a request, in MiB."""

    body_values: int = Field(default=400_000, ge=1000, le=5_000_000)
    """Numbers and texts in the JSON of one request, where a list or an object counts as four: small ones take far more memory
    and time than they are long."""

    body_depth: int = Field(default=128, ge=16, le=500)
    """Lists and objects within each other in the JSON of one request."""

    name_characters: int = Field(default=512, ge=64, le=4096)
    """Characters of a name that a client gives: of a model, a tool, a user."""

    messages: int = Field(default=1024, ge=1)
    """Messages of one conversation."""

    message_characters: int = Field(default=1_000_000, ge=1)
    """Characters of one message, prompt or text."""

    texts: int = Field(default=2048, ge=1)
    """Texts to embed, or documents to rank, in one request."""

    token_ids: int = Field(default=300_000, ge=1)
    """Token ids in one request, of all prompts or inputs together."""

    parts: int = Field(default=4096, ge=1)
    """Parts of all messages of a conversation together."""

    tools: int = Field(default=256, ge=1)
    """Tools of one request."""

    tool_calls: int = Field(default=4096, ge=1)
    """Calls in all messages of a conversation together."""

    stops: int = Field(default=16, ge=1, le=16)
    """Texts that end an answer."""

    stop_characters: int = Field(default=1024, ge=1)
    """Characters of one of them."""

    logit_biases: int = Field(default=4096, ge=1)
    """Tokens in ``logit_bias``."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens of one answer; a request that asks for more is refused, one that does not say gets this many at most."""

    choices: int = Field(default=8, ge=1, le=32)
    """Answers to one request (``n``)."""

    requests_per_minute: int | None = Field(default=None, ge=1)
    """Per key; per address where there are no keys. Looking (GET) is free."""

    concurrent_requests: int | None = Field(default=None, ge=1)
    """Requests under way at once, per key or address."""

    downloads: int = Field(default=4, ge=1)
    """Model downloads at once, all clients together."""

    download_gb: float | None = Field(default=100.0, gt=0)
    """Size of a model (all its files) that a client may have fetched, in GB (10^9 bytes)."""

    downloads_gb_a_day: float | None = Field(default=500.0, gt=0)
    """Bytes that clients may have fetched within 24 hours, all together, in GB."""

    models_gb: float | None = Field(default=None, gt=0)
    """Size of the models folder beyond which clients may fetch nothing more, in GB."""


class LoggingSettings(Section):
    format: Literal["auto", "console", "json"] = "auto"
    """auto: console in a terminal, JSON lines otherwise."""

    file: Path | None = None
    """Log there instead of to standard error."""

    max_mb: float = Field(default=10.0, gt=0)
    """A log file that grows beyond this (MiB) is rotated."""

    backups: int = Field(default=5, ge=0)
    """Rotated files that are kept."""

    content: bool = False
    """Also log what was asked and answered. Off: never a word of it."""


class ServedModelSettings(Section):
    """A model under a name of the owner's choice; what is not given counts as in the section engine."""

    model: str
    """Catalogue id, reference or GGUF path."""

    n_ctx: int | None = Field(default=None, ge=16)
    n_gpu_layers: int | None = None
    n_threads: int | None = Field(default=None, ge=1)
    chat_format: str | None = None
    """Another chat template: a name, or Jinja text."""

    preload: bool = False
    """Load it at the start; ``/health`` says 503 until then."""
