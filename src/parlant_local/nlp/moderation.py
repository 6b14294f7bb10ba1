"""Moderation of customers' messages by a model of the owner's choice, as the host's service."""

from __future__ import annotations

from parlant.core.nlp.moderation import (
    BaseModerationService,
    CustomerModerationContext,
    ModerationCheck,
    ModerationService,
)
from typing_extensions import override

from parlant_local.errors import BackendError, ParlantLocalError, RequestError
from parlant_local.messages import whole_text
from parlant_local.moderation import Judge
from parlant_local.nlp.host import Host
from parlant_local.settings import ModerationSettings

__all__ = ["DisabledModeration", "ModelModeration"]


class ModelModeration(BaseModerationService):
    """A judge's verdict on each message; a failure is never "not flagged" unless configured so."""

    def __init__(self, host: Host, judge: Judge, settings: ModerationSettings) -> None:
        super().__init__(**host.arguments_for(BaseModerationService))
        self.judge = judge
        self._settings = settings

    @override
    async def do_moderate(self, context: CustomerModerationContext) -> ModerationCheck:
        try:
            verdict = await self.judge.judge(whole_text(context.message))
        except ParlantLocalError as error:
            return self._failed(error)
        flagged = verdict.flagged(self._settings.threshold)
        return ModerationCheck(flagged=flagged, tags=list(verdict.tags(self._settings.threshold)))

    def _failed(self, error: ParlantLocalError) -> ModerationCheck:
        closed = self._settings.on_failure == "closed"
        verdict = "it is flagged" if closed else "it passes unchecked"
        # The class only for errors of daemons and endpoints: their messages may quote the input.
        details = type(error).__name__ if isinstance(error, BackendError | RequestError) else str(error)
        self.logger.error(
            f"A customer's message could not be moderated ({details}); {verdict} (moderation.on_failure)."
        )
        return ModerationCheck(flagged=closed, tags=[])


class DisabledModeration(ModerationService):
    """Checks nothing, and logs that for every message."""

    def __init__(self, host: Host, reason: str) -> None:
        self._logger = host.logger
        self._reason = reason

    @override
    async def moderate_customer(self, context: CustomerModerationContext) -> ModerationCheck:
        self._logger.warning(f"A customer's message was not moderated: {self._reason}")
        return ModerationCheck(flagged=False, tags=[])
