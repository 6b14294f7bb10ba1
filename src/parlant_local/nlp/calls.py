"""What all calls to the backend share: options from settings and hints, priority, and metrics."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parlant.adapters.nlp.common import record_llm_metrics
from parlant.core.engines.alpha.prompt_builder import PromptBuilder, PromptSection
from parlant.core.nlp.generation_info import UsageInfo

from parlant_local.backends.base import Backend
from parlant_local.call_options import OPTIONS, ChatOptions, Priority
from parlant_local.messages import Usage, whole_text
from parlant_local.nlp.counters import Counters
from parlant_local.nlp.host import Host
from parlant_local.nlp.recording import CallRecorder
from parlant_local.observability import Bystander
from parlant_local.settings import Settings

__all__ = ["Core", "as_text", "section_text", "usage_info"]

# A customer is waiting for the first group; the last one runs in the background; the rest block the turn.
_INTERACTIVE = frozenset({"CannedResponsePreambleSchema", "streaming"})
_BACKGROUND = frozenset(
    {
        "GenericResponseAnalysisSchema",
        "GuidelineActionPropositionSchema",
        "GuidelineContinuousPropositionSchema",
        "CustomerDependentActionSchema",
        "ToolRunningActionSchema",
        "AgentIntentionProposerSchema",
        "RelativeActionSchema",
        "ReachableNodesEvaluationSchema",
    }
)


@dataclass(frozen=True)
class Core:
    """What the generators of one service share."""

    backend: Backend
    host: Host
    settings: Settings
    counters: Counters = field(default_factory=Counters)
    recorder: CallRecorder = field(default_factory=CallRecorder)
    meter: Bystander = field(default_factory=lambda: Bystander("Parlant's meter"))

    @property
    def model_id(self) -> str:
        return self.backend.model_info().id

    @property
    def context_tokens(self) -> int:
        return self.backend.model_info().n_ctx or 32768

    def options(
        self, purpose: str, prompt: object, hints: Mapping[str, Any], own: ChatOptions | None = None
    ) -> ChatOptions:
        """Call options for ``purpose`` (a schema's name, or ``streaming``): settings, then the hints that apply here, then its ``own``."""
        generation = self.settings.generation
        options: ChatOptions = {
            "max_tokens": generation.max_tokens,
            "prefix_group": purpose,
            "session": self.host.session_id(prompt),
            "priority": _priority(purpose),
        }
        if generation.temperature is not None:
            options["temperature"] = generation.temperature
        for name, option in OPTIONS.items():
            if option.hint and (value := hints.get(name)) is not None:
                options[name] = value  # type: ignore[literal-required]  # they are the keys of ChatOptions
        return {**options, **(own or {})}

    async def record(self, purpose: str, usage: Usage) -> None:
        """The counters that Parlant's own adapters keep, in a meter of the owner's choice: an answer that is there is not lost by it."""
        try:
            await self._record(purpose, usage)
        except Exception as error:
            self.meter.note(error)

    async def _record(self, purpose: str, usage: Usage) -> None:
        given = {
            "meter": self.host.meter,
            "model_name": self.model_id,
            "schema_name": purpose,
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "cached_input_tokens": usage.cached_tokens,
        }
        accepted = inspect.signature(record_llm_metrics).parameters
        await record_llm_metrics(**{name: value for name, value in given.items() if name in accepted})  # type: ignore[arg-type]  # chosen by name


def as_text(prompt: str | PromptBuilder) -> str:
    """The prompt as text.

    The host puts conditions and actions into templates that it then formats, so that a brace in one of them (a
    customer's placeholder, or what a model wrote into a journey's transition) breaks every prompt that contains it.
    Sections that can't be formatted are used verbatim.
    """
    if isinstance(prompt, str):
        return whole_text(prompt)
    try:
        return whole_text(prompt.build())
    except ValueError:
        return whole_text("".join(f"{section_text(section)}\n\n" for section in prompt.sections.values()).strip())


def section_text(section: PromptSection) -> str:
    """One section as text."""
    try:
        return section.template.format(**section.props)
    except (ValueError, KeyError, IndexError, AttributeError):
        text = section.template
        for name, value in section.props.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text.replace("{{", "{").replace("}}", "}")


def usage_info(usage: Usage) -> UsageInfo:
    return UsageInfo(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        extra={"cached_input_tokens": usage.cached_tokens, "reasoning_tokens": usage.reasoning_tokens},
    )


def _priority(purpose: str) -> Priority:
    if purpose in _INTERACTIVE:
        return "interactive"
    return "background" if purpose in _BACKGROUND else "normal"
