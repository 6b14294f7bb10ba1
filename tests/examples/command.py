"""``parlant-local``, with the registry of ``EXAMPLES_REGISTRY`` in the place of Ollama's public one."""

from __future__ import annotations

import os
import sys
from typing import Any

from parlant_local.cli import main

if "pull" in sys.argv:
    from parlant_local.catalog.sources import ollama_registry

    class Registry(ollama_registry._Registry):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._base = os.environ["EXAMPLES_REGISTRY"]

    ollama_registry._Registry = Registry  # type: ignore[misc]  # it has no setting: the public one is what users name

sys.argv[0] = "parlant-local"
main()
