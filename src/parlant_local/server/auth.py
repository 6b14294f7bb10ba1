"""API keys: read once, compared in constant time, never shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from parlant_local.errors import SettingsError
from parlant_local.loopback import is_loopback
from parlant_local.paths import user_path
from parlant_local.settings import AuthSettings, ServerSettings, Settings
from parlant_local.settings.loading import ENV_PREFIX

__all__ = ["Keyring", "check_binding", "check_key_origin", "presented_key"]

_MIN_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Keyring:
    """Names to digests of keys; the keys themselves are not kept."""

    digests: tuple[tuple[str, bytes], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.digests)

    @classmethod
    def load(cls, settings: AuthSettings) -> Keyring:
        """Raises :class:`SettingsError` for a file that can't be read, and for keys that are too short to be secret."""
        found: list[tuple[str, str]] = []
        if settings.api_key is not None:
            found.append(("environment", settings.api_key.get_secret_value()))
        if (path := settings.key_file) is not None:
            try:
                lines = user_path(path).read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise SettingsError(f"The key file {path} (auth.key_file) can't be read: {reason}.") from None
            named = list(_named(lines))
            if not named:
                raise SettingsError(f"The key file {path} (auth.key_file) holds no key.", hint=_HOW)
            found += named
        for name, key in found:
            if len(key) < _MIN_LENGTH:
                raise SettingsError(
                    f"The API key {name!r} has {len(key)} characters; {_MIN_LENGTH} are the least.", hint=_HOW
                )
        return cls(tuple((name, _digest(key)) for name, key in found))

    def name_of(self, key: str) -> str | None:
        """Whose key it is. Every key is compared, so that time tells nothing."""
        digest = _digest(key)
        owner: str | None = None
        for name, known in self.digests:
            if hmac.compare_digest(digest, known) and owner is None:
                owner = name
        return owner


_HOW = "One a line, such as `openssl rand -hex 24` prints."


def _named(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, colon, key = text.partition(":")
        yield (name.strip(), key.strip()) if colon else (f"line {number}", text)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def presented_key(headers: Mapping[str, str], *, basic: bool) -> str | None:
    """The key in a request's ``Authorization`` header: Bearer, and where ``basic`` the password of a browser's login."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return value
    if basic and scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def check_binding(server: ServerSettings, keys: Keyring) -> None:
    """Raises :class:`SettingsError` where strangers could reach a server without keys."""
    if not keys and not is_loopback(server.host):
        raise SettingsError(
            f"Listening on {server.host} without API keys would let everybody in the network use this server.",
            hint="Give --api-key-file (auth.key_file), or listen on 127.0.0.1.",
        )


def check_key_origin(settings: Settings) -> None:
    """Raises :class:`SettingsError` for a key that stands in a settings file, which is read and shared by many."""
    if settings.auth.api_key is None:
        return
    origin = settings.origin("auth.api_key")
    if origin not in ("default", "argument") and not origin.startswith(ENV_PREFIX):
        raise SettingsError(
            f"auth.api_key stands in {origin}; keys never stand in settings files.",
            hint=f"Set {ENV_PREFIX}AUTH__API_KEY, or name a file of keys with auth.key_file.",
        )
