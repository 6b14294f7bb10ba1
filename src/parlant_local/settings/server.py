"""How models are served over HTTP: address, browsers, keys, limits, logs, and names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

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


class CorsSettings(Section):
    """Which websites may call this server from a browser."""

    origins: tuple[str, ...] = ()
    """Like ``https://chat.example.org``; ``*`` is any, and then cookies and logins are never sent. Empty: none."""


class AuthSettings(Section):
    """Who may call. Without keys, everybody on this machine."""

    key_file: Path | None = None
    """One key a line, or ``name:key``; empty lines and lines that begin with ``#`` are skipped."""

    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    """One key, from the environment only (PARLANT_LOCAL_AUTH__API_KEY)."""


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
