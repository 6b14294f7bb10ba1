"""The data that every family's module provides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from parlant_local.call_options import SamplingOptions
from parlant_local.profiles.templates import NamedTemplate

__all__ = ["CallIds", "Family", "FamilyType", "KnownModel", "Profile", "ReasoningTags", "SamplingAdvice", "ToolFormat"]

ToolFormat = Literal["hermes", "llama", "deepseek", "mistral", "granite", "harmony", "lfm", "phi", "json"]
"""How a family writes tool calls; ``json`` is a plain object, which any model can be prompted for."""


CallIds = Literal["given", "short", "numbered"]
"""A family's form of call ids: any; nine letters and digits; ``functions.name:0``, numbered through a conversation."""


@dataclass(frozen=True, slots=True)
class ReasoningTags:
    """The marks around a family's thoughts."""

    start: str
    end: str
    call: str = ""
    """Also ends them, without being part of them: a call's mark, where a family calls between thoughts."""


SamplingAdvice = SamplingOptions
"""Sampling that the family's makers recommend; what they don't mention is absent."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One model family."""

    name: str
    source: str = ""
    """The sources of its sampling, switches and marks: model cards by name, files by repository and path."""
    tools: ToolFormat = "json"
    call_ids: CallIds = "given"
    reasoning: ReasoningTags | None = None
    """None: the family does not think aloud."""
    answer_tags: ReasoningTags | None = None
    """Tags that some families put around the answer that follows their thoughts; they are not part of it."""
    begun: str = ""
    """Where thoughts, answers and calls are separate messages: what each begins with, which the prompt already contains."""
    fixed_marks: bool = False
    """Whether the tags here override what a template seems to show."""
    variables: frozenset[str] = frozenset()
    """Variables that its template expects beyond Hugging Face's: ``functions`` (the tools as JSON text), ``datetime``."""
    thinks_unasked: bool = False
    """Whether it thinks first by default."""
    thinking_on: Mapping[str, Any] = field(default_factory=dict)
    """Template arguments that switch thoughts on."""
    thinking_off: Mapping[str, Any] = field(default_factory=dict)
    """Template arguments that switch thoughts off."""
    efforts: tuple[tuple[int, str], ...] = ()
    """The template's effort value for budgets of up to so many tokens; the last one also applies beyond."""
    effort_argument: str = "reasoning_effort"
    sampling: SamplingAdvice = field(default_factory=SamplingAdvice)
    sampling_thinking: SamplingAdvice | None = None
    """Where the makers recommend other values while the model thinks."""
    template_marks: tuple[tuple[str, ...], ...] = ()
    """Matches a chat template that contains all texts of any one tuple."""
    named: bool = False
    """Whether the name must match, too: a version with the same template as its family."""
    architectures: frozenset[str] = frozenset()
    """``general.architecture`` values, for models whose template does not identify the family."""
    names: tuple[str, ...] = ()
    """Beginnings of ``general.basename`` or ``general.name`` (lower case, hyphens for spaces), the weakest indication."""

    def effort(self, budget: int) -> Mapping[str, str]:
        """The template's argument for a reasoning budget, in families with effort levels."""
        fitting = [name for most, name in self.efforts if budget <= most] or [name for _, name in self.efforts[-1:]]
        return {self.effort_argument: fitting[0]} if fitting else {}

    def advice(self, *, thinking: bool) -> SamplingAdvice:
        return self.sampling_thinking if thinking and self.sampling_thinking is not None else self.sampling


FamilyType = Literal["llama", "deepseek", "qwen", "mistral", "gemma", "phi", "embedding", "other"]
"""The catalogue's model types."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model in Ollama's registry and its counterpart on the hub, with sizes for planning."""

    name: str
    """Its name in Ollama's registry."""
    hub: str
    """Repository with GGUF files."""
    parameters: float
    """Billions."""
    q4_gb: float
    """Size of the Q4_K_M file, in GB (10^9 bytes), rounded."""
    layers: int
    kv_width: int
    """Cache elements per token and layer: keys and values of all heads."""
    context: int
    """Tokens, as trained."""
    active: float = 0.0
    """Billions of parameters used per token, where these are fewer."""
    reasoning: bool = False

    @property
    def active_parameters(self) -> float:
        return self.active or self.parameters

    @property
    def size(self) -> int:
        return int(self.q4_gb * 1_000_000_000)

    def kv_bytes(self, tokens: int) -> int:
        """Of a cache in f16."""
        return tokens * self.layers * self.kv_width * 2


@dataclass(frozen=True, slots=True)
class Family:
    """Everything about a family, from one file of this package or from a plug-in."""

    name: str
    profiles: tuple[Profile, ...] = ()
    """Its versions, those with distinctive marks before those with shared ones."""
    rank: int = 0
    """Matched in ascending order: families whose marks also occur in others' templates come later."""
    type: FamilyType = "other"
    called: str = ""
    """A regular expression for its models' names, from which the catalogue derives ``type`` before a file is downloaded."""
    bodies: tuple[str, ...] = ()
    """Prefixes of ``general.architecture`` that identify the type."""
    known: tuple[KnownModel, ...] = ()
    templates: tuple[NamedTemplate, ...] = ()
    """For ``chat_format``, and for its models without a template."""

    def __post_init__(self) -> None:
        if self.type not in get_args(FamilyType):
            raise ValueError(f"type must be one of {', '.join(get_args(FamilyType))}, not {self.type!r}")
