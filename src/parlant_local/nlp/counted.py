"""A call that a generator makes: counted, timed, and where it fails, told with what that means for the turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from parlant_local.errors import ParlantLocalError
from parlant_local.nlp.calls import Core
from parlant_local.nlp.consequences import with_consequence

__all__ = ["counted"]


@contextmanager
def counted(core: Core, purpose: str, logger: Any, failure: str) -> Iterator[None]:
    """``purpose``: a schema's name, or ``streaming``. ``failure`` says behind the model's name what it did."""
    started = time.monotonic()
    core.counters.add(purpose, calls=1)
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        core.counters.add(purpose, cancelled=1)
        raise
    except ParlantLocalError as error:
        core.counters.add(purpose, failed=1)
        with_consequence(error, purpose)
        logger.warning(f"{core.model_id} {failure}: {error}")
        raise
    finally:
        core.counters.add(purpose, seconds=time.monotonic() - started)
