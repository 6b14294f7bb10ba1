"""An address is never taken from the program that listens on it."""

from __future__ import annotations

import socket

import pytest

from parlant_local.ports import own_address


class Recorded(socket.socket):
    """A socket that notes its options."""

    options: tuple[tuple[object, ...], ...] = ()

    def setsockopt(self, *option: object) -> None:  # type: ignore[override]  # one of three forms
        self.options = (*self.options, option)


def test_a_port_in_use_is_refused_and_one_that_was_in_use_is_not() -> None:
    with socket.socket() as first, socket.socket() as second:
        own_address(first)
        first.bind(("127.0.0.1", 0))
        first.listen()
        own_address(second)
        with pytest.raises(OSError, match="in use"):
            second.bind(first.getsockname())


def test_windows_is_asked_for_the_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """SO_REUSEADDR would share it with whoever listens there."""
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR, raising=False)
    with Recorded() as listener:
        own_address(listener)
        assert listener.options == ((socket.SOL_SOCKET, ~socket.SO_REUSEADDR, 1),)
