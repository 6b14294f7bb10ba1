"""The table that every family fills in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from parlant_local.call_options import SamplingOptions
from parlant_local.profiles.templates import NamedTemplate

__all__ = ["CallIds", "Family", "FamilyType", "KnownModel", "Profile", "ReasoningTags", "SamplingAdvice", "ToolFormat"]

ToolFormat = Literal["hermes", "llama", "deepseek", "mistral", "granite", "harmony", "lfm", "phi", "json"]
"""How a family writes tool calls; ``json`` is the plain object that any model can be asked for."""


CallIds = Literal["given", "short", "numbered"]
"""Ids of calls as a family knows them: any; nine letters and digits; ``functions.name:0``, counted through a conversation."""


@dataclass(frozen=True, slots=True)
class ReasoningTags:
    """What stands around a family's thoughts."""

    start: str
    end: str
    call: str = ""
    """What ends them too, without being part of them: the mark of a call, where a family calls amid its thoughts."""


SamplingAdvice = SamplingOptions
"""Sampling that the family's makers recommend; what they say nothing about is absent."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One model family."""

    name: str
    source: str = ""
    """Where its sampling, switches and marks stand: model cards by their names, files by repository and path."""
    tools: ToolFormat = "json"
    call_ids: CallIds = "given"
    reasoning: ReasoningTags | None = None
    """None: the family does not think aloud."""
    answer_tags: ReasoningTags | None = None
    """Tags that some families put around the answer that follows their thoughts; they are not part of it."""
    begun: str = ""
    """Where thoughts, answers and calls are messages of their own: what each begins with, and the prompt has written."""
    fixed_marks: bool = False
    """Whether the tags here hold, whatever a template seems to show."""
    variables: frozenset[str] = frozenset()
    """Variables that its template wants beside Hugging Face's: ``functions`` (the tools as JSON text), ``datetime``."""
    thinks_unasked: bool = False
    """Whether it thinks first unless told not to."""
    thinking_on: Mapping[str, Any] = field(default_factory=dict)
    """Template arguments that switch thoughts on."""
    thinking_off: Mapping[str, Any] = field(default_factory=dict)
    """Template arguments that switch thoughts off."""
    efforts: tuple[tuple[int, str], ...] = ()
    """For budgets of so many tokens at most, the effort that its template takes; the last one is for more."""
    effort_argument: str = "reasoning_effort"
    sampling: SamplingAdvice = field(default_factory=SamplingAdvice)
    sampling_thinking: SamplingAdvice | None = None
    """Where the makers recommend other values while the model thinks."""
    template_marks: tuple[tuple[str, ...], ...] = ()
    """Recognised when all texts of any one tuple stand in the chat template."""
    named: bool = False
    """Whether its name must say so, too: a version whose template is like its family's."""
    architectures: frozenset[str] = frozenset()
    """``general.architecture`` values, for models whose template says nothing."""
    names: tuple[str, ...] = ()
    """Beginnings of ``general.basename`` or ``general.name`` (lower case, hyphens for spaces), the weakest sign."""

    def effort(self, budget: int) -> Mapping[str, str]:
        """The template's argument for a budget of thoughts, in families that know efforts."""
        fitting = [name for most, name in self.efforts if budget <= most] or [name for _, name in self.efforts[-1:]]
        return {self.effort_argument: fitting[0]} if fitting else {}

    def advice(self, *, thinking: bool) -> SamplingAdvice:
        return self.sampling_thinking if thinking and self.sampling_thinking is not None else self.sampling


FamilyType = Literal["llama", "deepseek", "qwen", "mistral", "gemma", "phi", "embedding", "other"]
"""What the catalogue sorts models by."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model in Ollama's registry and its counterpart on the hub, with sizes to plan by."""

    name: str
    """As Ollama has it."""
    hub: str
    """Repository with GGUF files."""
    parameters: float
    """Billions."""
    q4_gb: float
    """Size of the Q4_K_M file, in GB (10^9 bytes), rounded."""
    layers: int
    kv_width: int
    """Numbers that one token adds to the cache in one layer: keys and values of all its heads."""
    context: int
    """Tokens, as trained."""
    active: float = 0.0
    """Billions of parameters that one token passes through, where these are fewer."""
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
    """All that is said of a family, in one file of this package or by the plug-in that brings it."""

    name: str
    profiles: tuple[Profile, ...] = ()
    """Its versions, those with marks of their own before the ones that share them."""
    rank: int = 0
    """Families of a lower rank are asked first: those whose marks stand in templates of others come later."""
    type: FamilyType = "other"
    called: str = ""
    """A regular expression for names of its models, by which the catalogue tells ``type`` before a file is here."""
    bodies: tuple[str, ...] = ()
    """Beginnings of ``general.architecture`` that say as much."""
    known: tuple[KnownModel, ...] = ()
    templates: tuple[NamedTemplate, ...] = ()
    """For ``chat_format``, and for models of it that bring none."""

    def __post_init__(self) -> None:
        if self.type not in get_args(FamilyType):
            raise ValueError(f"type must be one of {', '.join(get_args(FamilyType))}, not {self.type!r}")
