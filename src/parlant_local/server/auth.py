"""API keys: read once, compared in constant time, never logged."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from starlette.requests import Request

from parlant_local.errors import SettingsError, StateFileError
from parlant_local.loopback import is_loopback
from parlant_local.paths import user_path
from parlant_local.settings import AuthSettings, ServerSettings, Settings
from parlant_local.settings.layers import ENV_PREFIX
from parlant_local.storage import read_text

__all__ = [
    "Keeper",
    "Keyring",
    "Owner",
    "check_binding",
    "check_key_origin",
    "keeper_of",
    "mark_of",
    "own_key",
    "presented_key",
]

Keeper: TypeAlias = str
"""Whose something is: the mark of a key; empty where there are no keys, for what is everybody's."""

_MIN_LENGTH = 16
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a key, and whether it may administer the server."""

    name: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Keyring:
    """Owners and digests of their keys; the keys themselves are not kept."""

    digests: tuple[tuple[Owner, bytes], ...] = ()
    exposed: tuple[Path, ...] = ()
    """Key files that others on this machine can read."""

    def __bool__(self) -> bool:
        return bool(self.digests)

    @property
    def administered(self) -> bool:
        """Whether there is an admin key."""
        return any(owner.admin for owner, _ in self.digests)

    @classmethod
    def load(cls, settings: AuthSettings) -> Keyring:
        """Raises :class:`SettingsError` for an unreadable file, and for keys that are too short or not valid in a header."""
        found: list[tuple[Owner, str]] = []
        for secret, admin in ((settings.admin_api_key, True), (settings.api_key, False)):
            if secret is not None:
                found.append((Owner("environment", admin), secret.get_secret_value()))
        files = (("admin_key_file", settings.admin_key_file, True), ("key_file", settings.key_file, False))
        named = [(setting, user_path(path), admin) for setting, path, admin in files if path is not None]
        for setting, path, admin in named:
            found += [(Owner(name, admin), key) for name, key in _read(path, setting)]
        known: dict[bytes, Owner] = {}
        for owner, key in found:
            _check(owner, key)
            known.setdefault(_digest(key), owner)  # a key in both files is an admin key
        return cls(
            tuple((owner, digest) for digest, owner in known.items()),
            tuple(path for _, path, _ in named if _readable_by_others(path)),
        )

    def owner_of(self, key: str) -> Owner | None:
        """The owner of a key. Every key is compared, so that timing reveals nothing."""
        digest = _digest(key)
        owner: Owner | None = None
        for known, other in self.digests:
            if hmac.compare_digest(digest, other) and owner is None:
                owner = known
        return owner


_HOW = "One key per line; `openssl rand -hex 24` generates one."


def _read(path: Path, setting: str) -> list[tuple[str, str]]:
    """Names and keys of a file: ``name:key`` or the key alone, one per line."""
    try:
        lines = read_text(path, _MAX_BYTES).splitlines()
    except (FileNotFoundError, StateFileError) as error:
        reason = error.reason if isinstance(error, StateFileError) else error.strerror
        raise SettingsError(f"The key file {path} (auth.{setting}) can't be read: {reason}.") from None
    named = list(_named(lines))
    if not named:
        raise SettingsError(f"The key file {path} (auth.{setting}) has no key.", hint=_HOW)
    return named


def _named(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, colon, key = text.partition(":")
        yield (name.strip(), key.strip()) if colon else (f"line {number}", text)


def _check(owner: Owner, key: str) -> None:
    if len(key) < _MIN_LENGTH:
        raise SettingsError(
            f"The API key {owner.name!r} has {len(key)} characters; the minimum is {_MIN_LENGTH}.", hint=_HOW
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError(
            f"The API key {owner.name!r} has characters that are not valid in a header; use printable ASCII without spaces.",
            hint=_HOW,
        )


def _readable_by_others(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def mark_of(key: str) -> str:
    """Tells what belongs to a key apart in files: names of owners may repeat, and lines of a key file move."""
    return hashlib.sha256(b"owner " + _digest(key)).hexdigest()[:32]


def own_key(settings: AuthSettings) -> str | None:
    """The key with which the owner of these settings may ask their own server: one for administration, else any."""
    for secret, setting, path in (
        (settings.admin_api_key, "admin_key_file", settings.admin_key_file),
        (settings.api_key, "key_file", settings.key_file),
    ):
        if secret is not None:
            return secret.get_secret_value()
        if path is not None:
            return _read(user_path(path), setting)[0][1]
    return None


def presented_key(headers: Mapping[str, str], *, basic: bool) -> str | None:
    """The key in a request's ``Authorization`` header (Bearer, and with ``basic`` the password of a browser's login), or, as
    Anthropic's clients send it, in ``x-api-key``."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value:
        return value
    if basic and scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return headers.get("x-api-key", "").strip() or None


def keeper_of(request: Request) -> Keeper:
    return str(request.scope.get("state", {}).get("owner", ""))


def check_binding(server: ServerSettings, keys: Keyring) -> None:
    """Raises :class:`SettingsError` where a server without keys could be reached from other machines."""
    if not keys and not is_loopback(server.host):
        raise SettingsError(
            f"Listening on {server.host} without API keys would let everyone on the network use this server.",
            hint="Give --api-key-file (auth.key_file), or listen on 127.0.0.1.",
        )


def check_key_origin(settings: Settings) -> None:
    """Raises :class:`SettingsError` for a key in a settings file, which may be shared."""
    for name, value in (("api_key", settings.auth.api_key), ("admin_api_key", settings.auth.admin_api_key)):
        variable = f"{ENV_PREFIX}AUTH__{name.upper()}"
        if os.environ.get(variable) == "":  # most likely set from another variable that is unset
            raise SettingsError(f"The environment variable {variable} is empty.", hint="Give it a key, or unset it.")
        if value is None:
            continue
        origin = settings.origin(f"auth.{name}")
        if origin not in ("default", "argument") and not origin.startswith(ENV_PREFIX):
            raise SettingsError(
                f"auth.{name} is set in {origin}; keys do not belong in settings files.",
                hint=f"Set {variable}, or name a file with auth.{name.replace('api_key', 'key_file')}.",
            )
