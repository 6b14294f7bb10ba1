"""The demonstration's Parlant home."""

from __future__ import annotations

import os
import re
from pathlib import Path

from parlant_local.settings import Settings

__all__ = ["use_home"]


def use_home(settings: Settings, model_id: str) -> Path:
    """Sets PARLANT_HOME to a folder of the model's own, unless the owner set it; call before Parlant is imported.

    Parlant caches a model's evaluations of guidelines and does not repeat them with another model, so each gets its own home.
    """
    if chosen := os.environ.get("PARLANT_HOME"):
        return Path(chosen)
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", model_id).strip("-.") or "model"
    home = settings.home / "parlant" / slug
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PARLANT_HOME"] = str(home)
    return home
