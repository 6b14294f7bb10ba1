"""What the catalogue knows about a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["LocalModel", "ModelFile", "ModelSource", "ModelState", "ModelType"]


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
    GGUF = "gguf"
    """A URL."""
    CUSTOM = "custom"
    """The owner's disk."""
    SHIPPED = "shipped"
    """This package."""


class ModelState(StrEnum):
    AVAILABLE = "available"
    """Whole and verified."""
    DOWNLOADING = "downloading"
    """Being fetched now, here or by another process."""
    INCOMPLETE = "incomplete"
    """Partly fetched; pulling again resumes."""
    BROKEN = "broken"
    """Missing, changed or rotten; ``reason`` says which."""
    NOT_RUNNABLE = "not_runnable"
    """Known, but not in a form that runs here (safetensors without a GGUF conversion)."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    path: Path
    size: int
    """Bytes."""
    sha256: str | None = None
    mtime_ns: int | None = None
    """Modification time when it was last verified; another one means that the file changed."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in the catalogue. Records are values: the manager hands out new ones when something changes."""

    id: str
    """``local/<family>/<name>``, or ``ollama/<name:tag>`` for a daemon's."""
    name: str
    type: ModelType
    source: ModelSource
    state: ModelState = ModelState.AVAILABLE
    files: tuple[ModelFile, ...] = ()
    """In order; several for a split model."""
    references: tuple[str, ...] = ()
    """Canonical references that led to it; each resolves to it again, offline too."""
    revision: str | None = None
    """Commit of the repository, or digest of the manifest."""
    quantization: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    """Parameters that one token passes through (fewer than ``parameters`` in a mixture of experts)."""
    context_length: int | None = None
    """Tokens, as trained."""
    embedding_length: int | None = None
    pooling: str | None = None
    has_chat_template: bool = False
    template: str | None = None
    """Ollama's own template (Go syntax), where the model came with one; llama.cpp uses the GGUF's."""
    system: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that came with an Ollama model (stop, temperature …)."""
    license: str | None = None
    vouched: bool = False
    """Whether somebody published the digests that its files have: a hub, a registry, or this package."""
    owned: bool = False
    """Whether deleting the model may delete its files: true for what this catalogue downloaded or copied."""
    reason: str = ""
    """Why it is in its state, where that is not obvious."""
    done: int | None = None
    """Bytes fetched so far, while it is not whole."""
    total: int | None = None
    pending: tuple[Path, ...] = ()
    """Where the files of an unfinished download are going to be."""

    @property
    def path(self) -> Path | None:
        """What to load: the file, or the first of several."""
        return self.files[0].path if self.files else None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(item.path for item in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(item.size for item in self.files)

    @property
    def sha256(self) -> str | None:
        """Digest of the file, or of the first of several (``files`` has each one's)."""
        return self.files[0].sha256 if self.files else None

    @property
    def is_embedding(self) -> bool:
        return self.type is ModelType.EMBEDDING

    @property
    def shipped(self) -> bool:
        """Whether it is the small model that comes with the package: a proof of life, never a recommendation."""
        return self.source is ModelSource.SHIPPED

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        data = asdict(self)
        data["files"] = [{**asdict(item), "path": str(item.path)} for item in self.files]
        data["references"] = list(self.references)
        data["pending"] = [str(item) for item in self.pending]
        data["defaults"] = dict(self.defaults)
        return data | {"path": str(self.path) if self.path else None, "size": self.size, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LocalModel:
        """The inverse of :meth:`as_dict`; unknown keys (of newer versions) are left out."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        files = tuple(ModelFile(**{**item, "path": Path(item["path"])}) for item in values.pop("files", ()))
        return cls(
            **{
                **values,
                "type": ModelType(values["type"]),
                "source": ModelSource(values["source"]),
                "state": ModelState(values["state"]),
                "references": tuple(values.get("references", ())),
                "pending": tuple(Path(item) for item in values.get("pending", ())),
                "files": files,
            }
        )

    def having(self, **changes: Any) -> LocalModel:
        """A copy with some fields changed."""
        return replace(self, **changes)
