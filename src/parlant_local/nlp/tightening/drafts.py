"""What the agent says: drafts, preambles, and the message generator.

A draft whose optional ``response_body`` is null or missing is silence: no reply and no error event, after three attempts.
The prompt allows null in two cases: the interaction has no message yet (section
``canned-response-generator-draft-initial-message-instructions``), where it stays allowed, and a customer or guideline
that asks not to be answered, which the prompt calls the only exception; that one is given up for replies that come.
Section ``canned-response-generator-output-format`` carries the interaction's events and the guidelines whose restatement
it prints; the host reads neither back.

A strict preamble must be one of ``preamble_choices`` in section ``canned-response-strict-preamble-instructions``, word for
word, or it is dropped; an empty one is an empty message.
"""

from __future__ import annotations

from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.nlp.tightening.surgery import NotUnderstood, Schema, const, demand, enum, filled, properties

__all__ = ["TIGHTENERS"]

_DRAFT_FORMAT = "canned-response-generator-output-format"
_DRAFT_INITIAL = "canned-response-generator-draft-initial-message-instructions"
_STRICT_PREAMBLE = "canned-response-strict-preamble-instructions"
_MAX_INSIGHTS = 3


def _draft(schema: Schema, prompt: PromptBuilder) -> None:
    if _DRAFT_FORMAT not in prompt.sections:
        raise NotUnderstood(f"there is no section {_DRAFT_FORMAT}")
    if _DRAFT_INITIAL in prompt.sections:
        raise NotUnderstood("the interaction has no message yet, so silence is a fair answer")
    filled(schema, "response_body")
    last = _last_customer_message(prompt.sections[_DRAFT_FORMAT].props.get("interaction_history"))
    if last is not None:
        const(schema, "last_message_of_user", last)


def _last_customer_message(events: Any) -> str | None:
    """The text of the customer's latest message as the prompt prints it, or None where that can't be told."""
    for event in reversed(events or ()):
        if getattr(event.kind, "value", None) == "message" and getattr(event.source, "value", None) == "customer":
            if event.data.get("flagged", False):
                return "<N/A -- censored>"
            message = event.data["message"]
            return message if isinstance(message, str) else None
    return None


def _message(schema: Schema, prompt: PromptBuilder) -> None:
    if "message-generator-initial-message-instructions" in prompt.sections:
        raise NotUnderstood("the interaction has no message yet, so silence is a fair answer")
    demand(schema, "revisions")
    revisions = properties(schema)["revisions"]
    revisions["minItems"] = 1
    filled(revisions["items"], "content")


def _preamble(schema: Schema, prompt: PromptBuilder) -> None:
    if (strict := prompt.sections.get(_STRICT_PREAMBLE)) is not None:
        enum(schema, "preamble", strict.props["preamble_choices"])
    else:
        filled(schema, "preamble")


def _revision(schema: Schema, _prompt: PromptBuilder) -> None:
    filled(schema, "revised_canned_response")


TIGHTENERS = {
    "CannedResponseDraftSchema": _draft,
    "CannedResponsePreambleSchema": _preamble,
    "CannedResponseRevisionSchema": _revision,
    "MessageSchema": _message,
}
