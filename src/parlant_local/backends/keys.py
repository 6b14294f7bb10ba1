"""API keys: from the environment or a key file, never from settings files, and never in a log."""

from __future__ import annotations

import os

from parlant_local.errors import ConfigurationError, SettingsError, StateFileError
from parlant_local.paths import user_path
from parlant_local.settings import EndpointSettings, Settings
from parlant_local.storage import read_text

__all__ = ["check_key_origin", "read_key"]

_MAX_KEY_BYTES = 16 * 1024


def check_key_origin(name: str, endpoint: EndpointSettings, settings: Settings) -> None:
    """Raises :class:`ConfigurationError` for a key of the endpoint ``name`` that stands in a settings file."""
    origin = settings.origin(f"endpoints.{name}.api_key")
    if endpoint.api_key is not None and ("/" in origin or "\\" in origin or "." in origin):
        raise ConfigurationError(
            f"The key of the endpoint {name!r} is set in {origin}; keys do not belong in settings files.",
            hint=f"Name a variable with endpoints.{name}.api_key_env, or a file with api_key_file.",
        )


def read_key(name: str, endpoint: EndpointSettings) -> str | None:
    """The key of the endpoint ``name``; ``None`` where it needs none. A named source that is empty is an error."""
    if endpoint.api_key is not None:
        return endpoint.api_key.get_secret_value()
    if endpoint.api_key_env:
        if value := os.environ.get(endpoint.api_key_env, "").strip():
            return value
        raise SettingsError(
            f"The endpoint {name!r} takes its key from {endpoint.api_key_env}, which is not set.",
            hint=f"Set {endpoint.api_key_env}, or remove endpoints.{name}.api_key_env.",
        )
    if endpoint.api_key_file:
        path = user_path(endpoint.api_key_file)
        try:
            value = read_text(path, _MAX_KEY_BYTES).strip()
        except (FileNotFoundError, StateFileError) as error:
            reason = error.reason if isinstance(error, StateFileError) else error.strerror
            raise SettingsError(f"The key file {path} of the endpoint {name!r} can't be read: {reason}.") from None
        if not value:
            raise SettingsError(f"The key file {path} of the endpoint {name!r} is empty.")
        return value
    return None
