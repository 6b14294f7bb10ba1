"""What a failed call means for the turn, by schema: what the host does once its retries are exhausted."""

from __future__ import annotations

from parlant_local.errors import ParlantLocalError

__all__ = ["consequence_of", "with_consequence"]

_SILENCE = "the agent stays silent"
_TURN = "the turn ends with an error"
_START = "the server does not start"
_CONSEQUENCES = {
    "CannedResponseDraftSchema": _SILENCE,
    "CannedResponseFieldExtractionSchema": _SILENCE,
    "CannedResponsePreambleSchema": _TURN,
    "CannedResponseRevisionSchema": _SILENCE,
    "CannedResponseSelectionSchema": _SILENCE,
    "MessageSchema": _SILENCE,
    "streaming": "the message stays unfinished",
    "DisambiguationGuidelineMatchesSchema": _TURN,
    "GenericActionableGuidelineMatchesSchema": _TURN,
    "GenericLowCriticalityGuidelineMatchesSchema": _TURN,
    "GenericObservationalGuidelineMatchesSchema": _TURN,
    "GenericPreviouslyAppliedActionableCustomerDependentGuidelineMatchesSchema": _TURN,
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": _TURN,
    "JourneyBacktrackCheckSchema": _TURN,
    "JourneyBacktrackNodeSelectionSchema": _TURN,
    "JourneyNextStepSelectionSchema": _TURN,
    "NonConsequentialToolBatchSchema": _TURN,
    "OverlappingToolsBatchSchema": _TURN,
    "SingleToolBatchSchema": _TURN,
    "AgentIntentionProposerSchema": _START,
    "CustomerDependentActionSchema": _START,
    "GuidelineActionPropositionSchema": _START,
    "GuidelineContinuousPropositionSchema": _START,
    "ReachableNodesEvaluationSchema": _START,
    "RelativeActionSchema": _START,
    "ToolRunningActionSchema": _START,
}


def consequence_of(purpose: str) -> str:
    """As text; empty where the host continues, or where the schema is not the host's."""
    return _CONSEQUENCES.get(purpose, "")


def with_consequence(error: ParlantLocalError, purpose: str) -> ParlantLocalError:
    """``error``, with its consequence for the turn added to the hint."""
    consequence = consequence_of(purpose)
    if consequence and consequence not in error.hint:
        error.hint = f"{error.hint} Without its {purpose}, {consequence}.".strip()
    return error
