"""Addresses of this machine that a server listens on."""

from __future__ import annotations

import socket

__all__ = ["own_address"]


def own_address(listener: socket.socket) -> None:
    """Set before binding: the address may have been in use until just now, but never is somebody else's.

    On Windows SO_REUSEADDR would take a port away from the program that listens on it.
    """
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
