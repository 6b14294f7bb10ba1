"""The ``parlant-local`` command: one file per group of verbs, loaded on demand."""

from __future__ import annotations

from parlant_local.cli.main import main

__all__ = ["main"]
