"""Who asks, where nobody has a key: the address of the connection, or what a trusted proxy says of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from parlant_local.loopback import address_of, host_in

__all__ = ["Clients"]

_HOUSEHOLD = 64  # bits of an IPv6 address that one customer of a provider can't choose himself


class Clients:
    def __init__(self, trusted_proxies: tuple[str, ...]) -> None:
        self._trusted = tuple(ip_network(each, strict=False) for each in trusted_proxies)

    def name(self, scope: Scope, headers: Headers) -> str:
        """One name for all that one client can call himself: an IPv6 one counts by his network."""
        peer = scope.get("client")
        address = address_of(peer[0]) if peer else None
        if address is None:
            return "local"
        if self._trusted and self._trusts(address):
            address = self._behind(address, headers)
        if isinstance(address, IPv4Address) or address.is_loopback:
            return str(address)
        return str(ip_network((int(address) >> (128 - _HOUSEHOLD) << (128 - _HOUSEHOLD), _HOUSEHOLD)))

    def _behind(self, proxy: IPv4Address | IPv6Address, headers: Headers) -> IPv4Address | IPv6Address:
        """The nearest hop that is no proxy of ours; what stands before it could be the client's own invention."""
        hops = ",".join(headers.getlist("x-forwarded-for")).split(",")
        for hop in reversed(hops):
            text = hop.strip()
            address = address_of(text) or address_of(host_in(text) or "")
            if address is None:
                break
            proxy = address
            if not self._trusts(address):
                break
        return proxy

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)
