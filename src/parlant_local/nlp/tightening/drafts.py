"""What the agent says: drafts, preambles, and the message generator.

A draft whose optional ``response_body`` is null or missing is silence: no reply and no error event, after three attempts.
The prompt allows null in two cases: the interaction has no message yet (section
``canned-response-generator-draft-initial-message-instructions``), where it stays allowed, and a customer or guideline
that asks not to be answered, which the prompt calls the only exception; that one is given up for replies that come.
Section ``canned-response-generator-output-format`` carries the interaction's events and prints, in
``formatted_output_format``, the customer's message, the guidelines and the preamble that the answer has to restate ("only
replace those in <angle brackets>"); the host reads none of them back. Guidelines are printed escaped or not, the
preamble never, so both are taken from between their keys.

A strict preamble must be one of ``preamble_choices`` in section ``canned-response-strict-preamble-instructions``, word for
word, or it is dropped; an empty one is an empty message.
"""

from __future__ import annotations

import re
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.messages import json_value
from parlant_local.nlp.tightening.surgery import NotUnderstood, Schema, const, demand, enum, exactly, filled, properties

__all__ = ["TIGHTENERS"]

_DRAFT_FORMAT = "canned-response-generator-output-format"
_DRAFT_INITIAL = "canned-response-generator-draft-initial-message-instructions"
_STRICT_PREAMBLE = "canned-response-strict-preamble-instructions"
# Beginnings and ends apart: what stands between is the host's and the customer's own words, which may hold either.
_GUIDELINES = re.compile(r'^ *"guidelines": \[', re.MULTILINE), re.compile(r'\],\n *"insights": ')
_SENT_PREAMBLE = (
    re.compile(r'^ *"response_preamble_that_was_already_sent": "', re.MULTILINE),
    re.compile(r'",\n *"response_body": '),
)


def _draft(schema: Schema, prompt: PromptBuilder) -> None:
    if _DRAFT_FORMAT not in prompt.sections:
        raise NotUnderstood(f"there is no section {_DRAFT_FORMAT}")
    if _DRAFT_INITIAL in prompt.sections:
        raise NotUnderstood("the interaction has no message yet, so silence is a fair answer")
    filled(schema, "response_body")
    props = prompt.sections[_DRAFT_FORMAT].props
    last = _last_customer_message(props.get("interaction_history"))
    if last is not None:
        const(schema, "last_message_of_user", last)
    _restated(schema, str(props.get("formatted_output_format", "")))


def _restated(schema: Schema, printed: str) -> None:
    """Bind the guidelines and the preamble as printed."""
    known = properties(schema)
    listed = _between(printed, *_GUIDELINES)
    if listed is not None and (not listed or listed[0] == listed[-1] == '"') and "guidelines" in known:
        known["guidelines"] = exactly([{"const": text} for text in _listed(listed)])
    sent = _between(printed, *_SENT_PREAMBLE)
    if sent is not None and "response_preamble_that_was_already_sent" in known:
        const(schema, "response_preamble_that_was_already_sent", sent)


def _between(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str | None:
    if (first := begin.search(text)) is None or (last := end.search(text, first.end())) is None:
        return None
    return text[first.end() : last.start()]


def _last_customer_message(events: Any) -> str | None:
    """The text of the customer's latest message as the prompt prints it, or None where that can't be told."""
    for event in reversed(events or ()):
        if getattr(event.kind, "value", None) == "message" and getattr(event.source, "value", None) == "customer":
            if event.data.get("flagged", False):
                return "<N/A -- censored>"
            message = event.data["message"]
            return message if isinstance(message, str) else None
    return None


def _listed(printed: str) -> list[str]:
    """The texts of a printed list. Where it is not JSON, a text with a ``", "`` of its own comes in two parts."""
    try:
        return [str(text) for text in json_value(f"[{printed}]")]
    except ValueError:
        return printed.removeprefix('"').removesuffix('"').split('", "')


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
