"""The targets of a switcher: which is the primary, which may be used, which embeds."""

from __future__ import annotations

from collections.abc import Sequence

from parlant_local.backends.base import ModelInfo
from parlant_local.errors import EmbeddingIdentityError, NoTargetError
from parlant_local.observability import Logger
from parlant_local.switching.pool import BackendPool
from parlant_local.switching.privacy import PrivacyGate
from parlant_local.switching.targets import Requirements, Target

__all__ = ["Roster"]


class Roster:
    def __init__(self, targets: Sequence[Target], gate: PrivacyGate, pool: BackendPool, logger: Logger) -> None:
        self._targets: dict[str, Target] = {}
        self._gate = gate
        self._pool = pool
        self._logger = logger
        self._warned: set[str] = set()
        self._embedder: str | None = None
        self.replace(targets)

    @property
    def all(self) -> tuple[Target, ...]:
        return tuple(self._targets.values())

    @property
    def primary(self) -> str:
        return next(iter(self._targets))

    @property
    def leader(self) -> Target:
        """The primary, or the first target that may be used where the primary may not."""
        return next(filter(self.usable, self.all), self._targets[self.primary])

    def get(self, name: str) -> Target | None:
        return self._targets.get(name)

    def described(self, target: Target) -> ModelInfo:
        return target.described(self._pool.peek(target.id))

    def usable(self, target: Target) -> bool:
        return not (target.remote and self._gate.blocks_remote)

    def replace(self, targets: Sequence[Target]) -> None:
        """Targets that were removed are unloaded when idle."""
        if not targets:
            raise NoTargetError("A switcher needs at least one model.", hint="Set PARLANT_LOCAL_MODEL.")
        before = set(self._targets)
        self._targets = {target.id: target for target in targets}
        for name in self._targets:
            self._pool.keep(name)
        for name in before - set(self._targets):
            self._pool.retire(name)
        for target in self.all:
            self._warn_if_blocked(target)

    def pin_embeddings(self, name: str) -> None:
        if self._embedder is not None and name != self._embedder:
            raise EmbeddingIdentityError(
                f"Texts are indexed with {self._embedder}; vectors of {name} can't be compared with them.",
                hint="To change the embedding model, set embedding.model and start with a new index: every text is embedded "
                "again.",
            )
        if name not in self._targets:
            raise NoTargetError(f"{name} is not among the targets ({', '.join(self._targets)}).")
        self._embedder = name

    def embedder(self) -> str:
        """The target that embeds, fixed at the first call."""
        if self._embedder is None:
            self._embedder = self._first_that_embeds()
        return self._embedder

    def check_servable(self, requirements: Requirements, only: str | None) -> None:
        """Raises where no target (or not ``only``) can serve the call."""
        if only is not None and only not in self._targets:
            raise EmbeddingIdentityError(
                f"Texts are indexed with {only}, which is no longer among the targets ({', '.join(self._targets)}).",
                hint="Configure it again, or start with a new index.",
            )
        reasons = {}
        for target in self.all:
            if only is None or target.id == only:
                missing = requirements.missing_in(self.described(target))
                if missing is None:
                    return
                reasons[target.id] = missing
        details = "; ".join(f"{name} {reason}" for name, reason in reasons.items())
        raise NoTargetError(f"No configured model can serve this call: {details}.", hint="Configure one that can.")

    def _first_that_embeds(self) -> str:
        for target in self.all:
            info = self.described(target)
            if self.usable(target) and (not info.capabilities or "embed" in info.capabilities):
                return target.id
        raise NoTargetError("No configured model can embed.", hint="Set embedding.model.")

    def _warn_if_blocked(self, target: Target) -> None:
        if not self.usable(target) and target.id not in self._warned:
            self._warned.add(target.id)
            how = (
                "offline mode is on"
                if self._gate.offline
                else "PARLANT_LOCAL_SWITCHER__ALLOW_CLOUD=fallback enables it"
            )
            self._logger.warning(f"{target.id} is configured but not on this machine, so it is never used; {how}.")
