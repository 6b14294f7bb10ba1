"""Where things are."""

from __future__ import annotations

import sys
from pathlib import Path

import parlant_local

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared" / "data"
"""Templates and vocabularies of published models, where this machine has them."""
TINY = Path(parlant_local.__file__).parent / "models" / "parlant-local-tiny.gguf"
COMMAND = str(Path(sys.executable).with_name("parlant-local"))
"""The installed command, for tests that need a process of its own."""
CALL_TEMPLATES = Path(__file__).with_name("call_templates")
"""A template for each way in which models write calls."""
