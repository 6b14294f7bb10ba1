"""What ``generation.calls`` says about one of the host's calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from parlant.core.engines.alpha.prompt_builder import PromptBuilder

from parlant_local.call_options import OPTIONS, ChatOptions
from parlant_local.nlp.letters import letters_in_prompt, letters_in_schema
from parlant_local.nlp.quoting import customer_messages, quoted_arguments, reason_from
from parlant_local.nlp.reasons import placed
from parlant_local.nlp.shots import stripped
from parlant_local.nlp.tightening import families
from parlant_local.settings.calls import CallFamily, CallSettings
from parlant_local.shipped import is_shipped

__all__ = ["Levers", "family_of", "levers_for"]

_WITHOUT_TIGHTENER: Mapping[str, CallFamily] = {
    "streaming": "replies",
    "GuidelineContinuousPropositionSchema": "setup",
}
_FAMILIES: Mapping[str, CallFamily] = {
    "checks": "matching",
    "disambiguation": "matching",
    "drafts": "replies",
    "canned": "canned",
    "tools": "tools",
    "journeys": "journeys",
    "evaluation": "setup",
}


_OF_THE_SHIPPED: Mapping[str, Mapping[str, Any]] = {
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": {"reasons": "added"},
}
"""What the bundled model was trained with, by schema: it decides by the words that it has just named."""


def family_of(purpose: str) -> CallFamily | None:
    """That of a schema of the host's, by its name; of its streamed messages as well."""
    tightener = families().get(purpose)
    if tightener is None:
        return _WITHOUT_TIGHTENER.get(purpose)
    return _FAMILIES[tightener.__module__.rpartition(".")[2]]


def levers_for(purpose: str, calls: Mapping[str, CallSettings], model_id: str = "") -> Levers:
    """What holds for the model, for all calls, for the family's, then for this schema's."""
    found: dict[str, Any] = {}
    if is_shipped(model_id):
        found = {"examples": False, **_OF_THE_SHIPPED.get(purpose, {})}
    for name in ("all", family_of(purpose), purpose):
        if name is not None and name in calls:
            found |= calls[name].model_dump(exclude_none=True)
    return Levers(found)


class Levers:
    """Those of one call."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @cached_property
    def options(self) -> ChatOptions:
        """Options of the call, over the host's hints."""
        return {name: value for name, value in self._values.items() if name in OPTIONS}  # type: ignore[return-value]  # their names are its keys

    def prompt(self, prompt: str | PromptBuilder) -> str | PromptBuilder:
        """``prompt``, without its examples where they are not wanted."""
        if self._values.get("examples") is False and not isinstance(prompt, str):
            return stripped(prompt) or prompt
        return prompt

    def text(self, prompt: str | PromptBuilder, text: str) -> str:
        """The text of ``prompt`` as the model is to read it."""
        host_made = not isinstance(prompt, str)
        return letters_in_prompt(text) if host_made and self._values.get("plain_letters") else text

    def schema(self, schema: Mapping[str, Any], prompt: str | PromptBuilder) -> Mapping[str, Any]:
        """``schema`` itself where nothing changes it."""
        reasons, changed = self._values.get("reasons", "as_asked"), schema
        if reasons != "as_asked":
            changed = placed(schema, reasons, reason_from(customer_messages(prompt)))
        if self._values.get("arguments") == "quoted":
            changed = quoted_arguments(changed, customer_messages(prompt))
        return letters_in_schema(changed) if self._values.get("plain_letters") else changed
