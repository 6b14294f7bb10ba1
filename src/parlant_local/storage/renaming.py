"""Renames that wait for readers, where the system doesn't rename over open files."""

from __future__ import annotations

from pathlib import Path

__all__ = ["rename_over"]

# Windows: access denied (to a file that is being deleted, too), sharing violation. Others have no such number.
_HELD_BY_OTHERS = (5, 32)
_PATIENCE_SECONDS = 2.0  # scanners and indexers read new files for some milliseconds


def rename_over(source: Path, target: Path) -> None:
    """Puts ``source`` in the place of ``target``. Raises :class:`OSError`."""
    try:
        source.replace(target)
    except OSError as error:
        if not _is_held(error):
            raise
        _rename_when_free(source, target)


def _rename_when_free(source: Path, target: Path) -> None:
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

    Retrying(
        retry=retry_if_exception(_is_held),
        wait=wait_exponential(multiplier=0.01, max=0.2),
        stop=stop_after_delay(_PATIENCE_SECONDS),
        reraise=True,
    )(source.replace, target)


def _is_held(error: BaseException) -> bool:
    return getattr(error, "winerror", None) in _HELD_BY_OTHERS
