"""One file to fetch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from parlant_local.catalog.transfer.http import HttpResponse, shown
from parlant_local.catalog.transfer.meter import FileMeter, Meter
from parlant_local.errors import HubError, ParlantLocalError

__all__ = ["FileTask", "Making", "explain_status", "no_headers"]


def no_headers() -> Mapping[str, str]:
    return {}


def explain_status(response: HttpResponse) -> ParlantLocalError:
    """The error of an answer that is neither good nor worth another try."""
    hints = {401: "It wants a login.", 403: "Access is denied.", 404: "Check the address.", 410: "It is gone."}
    return HubError(
        f"{shown(response.url)} responded with status {response.status}.",
        status=response.status,
        hint=hints.get(response.status, ""),
    )


@dataclass(frozen=True, slots=True)
class Making:
    """One run of a task that makes its file itself."""

    part: Path
    """The file to write; it is verified and put in place afterwards, or removed."""
    meter: Meter
    item: FileMeter
    stop: Event
    """Set when the caller gives up."""
    when_stopped: Callable[[Callable[[], None]], None]
    """Takes what else is to be called then, from another thread."""


@dataclass(frozen=True, slots=True)
class FileTask:
    """What to fetch, where to put it, and how to tell that it is right."""

    url: str
    """Shown only, where ``make`` is given."""
    destination: Path
    name: str
    """Shown to people."""
    size: int | None = None
    """As published; None: as the server says."""
    sha256: str | None = None
    """As published."""
    git_sha1: str | None = None
    """As published, for small files that a hub keeps outside LFS."""
    headers: Callable[[], Mapping[str, str]] = no_headers
    """Asked for with every new look-up of the address; may hold secrets."""
    explain: Callable[[HttpResponse], ParlantLocalError] = explain_status
    lock: Path | None = None
    """Lock file shared with whoever else may fetch it; None: beside the destination."""
    is_gguf: bool = True
    """Whether its header and tensor bounds are to be checked."""
    make: Callable[[Making], None] | None = None
    """Makes the file instead of fetching ``url``; blocking, and nothing of it is resumed."""

    @property
    def published(self) -> bool:
        """Whether somebody published what the file's digest is."""
        return self.sha256 is not None or self.git_sha1 is not None

    @property
    def part(self) -> Path:
        return self.destination.with_name(f".{self.destination.name}.part")

    @property
    def journal(self) -> Path:
        return self.destination.with_name(f".{self.destination.name}.journal")

    @property
    def lock_path(self) -> Path:
        return self.lock or self.destination.with_name(f".{self.destination.name}.lock")
