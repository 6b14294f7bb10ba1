"""Customers' messages classified by a model of the owner's, into the host's seven tags, each with a probability."""

from __future__ import annotations

from parlant.core.nlp.moderation import (
    BaseModerationService,
    CustomerModerationContext,
    ModerationCheck,
    ModerationService,
)
from typing_extensions import override

from parlant_local.backends.base import Backend
from parlant_local.errors import ParlantLocalError
from parlant_local.messages import whole_text
from parlant_local.nlp.host import Host
from parlant_local.nlp.verdicts import MODERATION_TAGS, Tag, tag_probabilities, verdict_options, verdict_prompt
from parlant_local.settings import ModerationSettings

__all__ = ["MODERATION_TAGS", "ModelModeration", "NoVerdict", "tag_probabilities"]


class ModelModeration(BaseModerationService):
    """One constrained call: seven booleans, of which the probability of each ``true`` is read from the token log-probs."""

    def __init__(self, host: Host, backend: Backend, settings: ModerationSettings) -> None:
        super().__init__(**host.arguments_for(BaseModerationService))
        self._backend = backend
        self._settings = settings

    @override
    async def do_moderate(self, context: CustomerModerationContext) -> ModerationCheck:
        try:
            probabilities = await self.probabilities(whole_text(context.message))
        except ParlantLocalError as error:
            return self._failed(error)
        tags = [tag for tag in MODERATION_TAGS if probabilities[tag] >= self._settings.threshold]
        return ModerationCheck(flagged=bool(tags), tags=tags)

    async def probabilities(self, message: str) -> dict[Tag, float]:
        """Tag to the probability that it applies. Raises where the message can't be checked whole."""
        reply = await self._backend.chat(verdict_prompt(message), **verdict_options())
        return tag_probabilities(reply)

    def _failed(self, error: ParlantLocalError) -> ModerationCheck:
        closed = self._settings.on_failure == "closed"
        verdict = "it is flagged" if closed else "it passes unchecked"
        self.logger.error(f"A customer's message could not be moderated ({error}); {verdict} (moderation.on_failure).")
        return ModerationCheck(flagged=closed, tags=[])


class NoVerdict(ModerationService):
    """Checks nothing, and says so whenever it is asked."""

    def __init__(self, host: Host, reason: str) -> None:
        self._logger = host.logger
        self._reason = reason

    @override
    async def moderate_customer(self, context: CustomerModerationContext) -> ModerationCheck:
        self._logger.warning(f"A customer's message was not moderated: {self._reason}")
        return ModerationCheck(flagged=False, tags=[])
