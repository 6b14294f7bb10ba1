"""The ``parlant-local`` command: one file per verb group, loaded when its verb is typed."""

from __future__ import annotations

from parlant_local.cli.main import main

__all__ = ["main"]
