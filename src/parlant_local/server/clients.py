"""The client's identity where there are no keys: its address, or what a trusted proxy reports."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from parlant_local.loopback import address_of, host_in

__all__ = ["Clients"]

_IPV6_PREFIX_BITS = 64  # one customer of a provider usually controls a whole /64


class Clients:
    def __init__(self, trusted_proxies: tuple[str, ...]) -> None:
        self._trusted = tuple(ip_network(each, strict=False) for each in trusted_proxies)

    def name(self, scope: Scope, headers: Headers) -> str:
        """One name per client: an IPv6 client counts by its network."""
        peer = scope.get("client")
        address = address_of(peer[0]) if peer else None
        if address is None:
            return "local"
        if self._trusted and self._trusts(address):
            address = self._behind(address, headers)
        if isinstance(address, IPv4Address) or address.is_loopback:
            return str(address)
        return str(
            ip_network((int(address) >> (128 - _IPV6_PREFIX_BITS) << (128 - _IPV6_PREFIX_BITS), _IPV6_PREFIX_BITS))
        )

    def came_by_tls(self, scope: Scope, headers: Headers) -> bool:
        """Whether a trusted proxy says that its client speaks TLS."""
        peer = scope.get("client")
        address = address_of(peer[0]) if peer else None
        told = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        return told == "https" and address is not None and self._trusts(address)

    def _behind(self, proxy: IPv4Address | IPv6Address, headers: Headers) -> IPv4Address | IPv6Address:
        """The nearest hop that is not a trusted proxy; earlier ones may be forged by the client."""
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
