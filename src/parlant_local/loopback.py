"""Which hosts are this machine for certain. Nothing is resolved: a name that somebody else could define is not."""

from __future__ import annotations

import ipaddress
import string
from ipaddress import IPv4Address, IPv6Address

__all__ = ["address_of", "host_in", "is_loopback"]

_IN_LABELS = frozenset(string.ascii_lowercase + string.digits + "-_")


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that ``host`` writes out (an IPv6 one with or without brackets and scope), mapped ones as IPv4.

    ``None`` for names, and for what only some resolvers read as an address: ``127.1``, ``0x7f000001``, ``127.0.0.1.``.
    """
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    text, percent, scope = text.partition("%")
    if percent and not scope.isalnum():
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def is_loopback(host: str) -> bool:
    """Whether ``host``, without port or user, is this machine: a loopback address, or ``localhost`` and the names below
    it, which RFC 6761 reserves."""
    if (address := address_of(host)) is not None:
        return address.is_loopback
    labels = host.lower().removesuffix(".").split(".")
    # Character by character: lower() maps some foreign letters to ASCII ones, and "evil/.localhost" is not that name.
    return (
        host.isascii() and labels[-1] == "localhost" and all(label and _IN_LABELS.issuperset(label) for label in labels)
    )


def host_in(authority: str) -> str | None:
    """The host of ``host[:port]`` as a Host header has it, in lower case; ``None`` where it is nothing of the kind."""
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        host += bracket
        if address_of(host) is None:
            return None
    else:
        host, colon, port = authority.partition(":")
        rest = colon + port
        if not host or not host.isascii() or not all(part.isprintable() and part not in " @/\\?#[]" for part in host):
            return None
    if rest and not (rest[0] == ":" and rest[1:].isascii() and (rest[1:].isdigit() or rest == ":")):
        return None
    return host.lower()
