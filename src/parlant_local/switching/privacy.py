"""Whether a prompt may leave this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from parlant_local.errors import CloudNotAllowedError
from parlant_local.switching.policy import Candidate

__all__ = ["AllowCloud", "PrivacyGate"]

AllowCloud = Literal["never", "fallback", "always"]


class PrivacyGate:
    """``never``: no remote target is used; ``fallback``: only when no local one is left to try; ``always``: freely.

    ``offline`` overrides all of them.
    """

    def __init__(self, allow_cloud: AllowCloud, *, offline: bool = False) -> None:
        self.allow_cloud: AllowCloud = allow_cloud
        self.offline = offline

    @property
    def blocks_remote(self) -> bool:
        """Whether remote targets are never used."""
        return self.offline or self.allow_cloud == "never"

    def refusal(self, item: Candidate, left: Sequence[Candidate]) -> CloudNotAllowedError | None:
        """Why ``item`` may not be used while ``left`` are still to be tried."""
        if not item.info.remote:
            return None
        if self.offline:
            return CloudNotAllowedError(
                f"{item.id} is not on this machine, and offline mode is on.", hint="Set PARLANT_LOCAL_OFFLINE=false."
            )
        if self.allow_cloud == "never":
            return CloudNotAllowedError(
                f"{item.id} is not on this machine, and sending prompts off this machine is disabled.",
                hint="Set PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD to fallback or always.",
            )
        if self.allow_cloud == "fallback" and any(not other.info.remote for other in left):
            return CloudNotAllowedError(f"{item.id} is a remote fallback: the targets on this machine are tried first.")
        return None
