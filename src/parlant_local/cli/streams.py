"""Standard input and output: text of any kind passes, whatever the system's code page."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["prepare_streams"]


def prepare_streams() -> None:
    """Pipes and files get UTF-8 instead of a Windows code page, and nothing that is printed or read fails for its characters."""
    for stream, errors in (
        (sys.stdout, "backslashreplace"),  # file names need not be valid text
        (sys.stderr, "backslashreplace"),
        (sys.stdin, "replace"),  # nor need piped input
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                encoding="utf-8" if _is_code_page(stream) else None,
                errors=errors if stream.errors == "strict" else None,
            )


def _is_code_page(stream: io.TextIOWrapper) -> bool:
    """A terminal speaks Unicode there, and who names an encoding gets it."""
    return stream.encoding.startswith("cp") and not stream.isatty() and "PYTHONIOENCODING" not in os.environ
