"""Whether a URL points to this machine or to a remote host."""

from __future__ import annotations

from urllib.parse import urlsplit

from parlant_local.errors import CloudNotAllowedError, SettingsError
from parlant_local.loopback import address_of, is_loopback

__all__ = ["check_url", "is_remote", "refuse_remote"]


def is_remote(url: str) -> bool:
    """Whether a request to ``url`` leaves this machine; a URL that can't be parsed counts as remote.

    Nothing is resolved: only ``localhost`` (RFC 6761 reserves it) and loopback addresses are local. The unspecified
    address, which servers bind to and clients reach this machine by, is local too.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return True
    address = address_of(host)
    return not (is_loopback(host) or (address is not None and address.is_unspecified))


def check_url(url: str, owner: str) -> str:
    """``url`` without a trailing slash; raises :class:`SettingsError` where it is not an http(s) address."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(
            f"The address {url!r} of {owner} is not a URL.", hint="Write it like http://127.0.0.1:8000/v1."
        )
    if parts.username or parts.password:
        raise SettingsError(
            f"The address of {owner} holds credentials.",
            hint="Keys come from the environment or a file, not from URLs.",
        )
    return url.rstrip("/")


def refuse_remote(target: str, host: str) -> CloudNotAllowedError:
    return CloudNotAllowedError(
        f"{target} is at {host}, not on this machine, and sending prompts off this machine is disabled.",
        hint="Set PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD to fallback or always, or pass allow_remote=True.",
    )
