"""Imported before Parlant: a home of its own, and its dependencies' deprecations kept out of our warnings."""

from __future__ import annotations

import os
import tempfile
import warnings

# Parlant reads its home once, when it is imported.
os.environ["PARLANT_HOME"] = tempfile.mkdtemp(prefix="parlant-home-")
# What these agents ask is nobody's to watch, and not the developer's home's to keep.
os.environ["PARLANT_LOCAL_LOGGING__AGENT_CALLS"] = "false"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import parlant.client
    import parlant.sdk  # noqa: F401
