"""The stand-ins of the switcher's tests serve here as well."""

from __future__ import annotations

from tests.switching.conftest import _no_ambient_configuration, configure, daemon, vllm

__all__ = ["_no_ambient_configuration", "configure", "daemon", "vllm"]
