"""A library is tried in a process of its own before its first use here: one that was compiled for another processor would end ours."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from parlant_local.engine.loading import LoadControl
from parlant_local.engine.native.llama import find_wanted
from parlant_local.engine.vetting.process import Outcome, run_trial
from parlant_local.errors import ConfigurationError
from parlant_local.forking import in_forked_child

if TYPE_CHECKING:
    from parlant_local.engine.native.builds import Flavour, Found
    from parlant_local.observability import Logger

__all__ = ["ensure_sound"]

_SECONDS = 120.0  # of a machine that is asleep or swaps; it takes a quarter of a second
_lock = threading.Lock()
_sound: set[Path] = set()
"""Libraries that this process has found sound."""


def ensure_sound(flavour: Flavour, verdicts: Path | None, control: LoadControl, logger: Logger) -> None:
    """Returns if the library that ``flavour`` names computes what it should; its verdict is stored in ``verdicts``. Blocks.

    Raises :class:`ConfigurationError` where there is none, or its self-test fails; :class:`EngineClosedError` where ``control`` was
    cancelled.
    """
    found = find_wanted(flavour)
    with _lock:
        if found.files[0] in _sound:
            return
        outcome = _outcome(found, verdicts, control, logger)
        if outcome.kind == "passed":
            _sound.add(found.files[0])
            return
    if outcome.hint:  # it doesn't load at all, and says why
        raise ConfigurationError(outcome.reason, hint=outcome.hint)
    build = found.build
    other = "native" if build.flavour == "binary" else "binary"
    raise ConfigurationError(
        f"The llama.cpp of {build} fails its self-test on this machine: {outcome.reason}.",
        hint=f"Reinstall it (`pip install --force-reinstall --no-cache-dir {build.package}=={build.version}`), or take the other "
        f'build: `pip install "parlant-local[{other}]"` and engine.library={other}.',
    )


def _outcome(found: Found, file: Path | None, control: LoadControl, logger: Logger) -> Outcome:
    """Of the self-test, or of an earlier one that passed. Others aren't stored: reinstalled, a library may be sound."""
    from parlant_local.engine.vetting.verdicts import Verdicts  # late: the trial process pays for each import

    verdicts = Verdicts(file, logger)
    digests = [verdicts.digest(each, control) for each in found.files]
    key = f"library {found.build} {' '.join(digest[:16] for digest in digests)}"
    if verdicts.found(key) == "":
        return Outcome("passed")
    spec = {"library": found.build.flavour, "self_test": True, "memory": 0, "seconds": _SECONDS}
    outcome = run_trial(spec, control)
    if outcome.kind == "passed":
        logger.info(f"{found.build} passed its self-test.")
        verdicts.record(key, "")
    return outcome


@in_forked_child
def _after_fork() -> None:
    """A fork does not copy the thread that holds the lock."""
    global _lock
    _lock = threading.Lock()
