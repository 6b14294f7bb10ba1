"""A GGUF file's header."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parlant_local.gguf_info.diffusion import DIFFUSION_ARCHITECTURES, diffusion_architecture
from parlant_local.gguf_info.types import FILE_TYPES, POOLING_TYPES

__all__ = ["Elided", "GGUFHeader", "MetadataValue", "TensorInfo"]

_MAX_LINE = 200  # characters
_GUESSED_FLAG = 1024  # a flag in general.file_type
_ENCODER_WORDS = ("bert", "t5encoder", "embedding", "llama-embed")


@dataclass(frozen=True, slots=True)
class Elided:
    """A value too large to keep: ``count`` array elements, or string bytes (``kind`` says which)."""

    kind: str
    count: int


MetadataValue = int | float | bool | str | tuple[int | float | bool | str, ...] | Elided


@dataclass(frozen=True, slots=True)
class TensorInfo:
    name: str
    shape: tuple[int, ...]
    """Fastest-varying dimension first, as in ggml."""
    type: str
    offset: int
    """From the start of the tensor data."""
    nbytes: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """Metadata and tensor table of one model; for a split model those of all its shards."""

    path: Path
    """The first shard where there are several."""
    version: int
    metadata: Mapping[str, MetadataValue]
    tensors: tuple[TensorInfo, ...]
    file_size: int
    """Bytes, all shards together."""
    header_bytes: int
    """Bytes before the tensor data of the first file."""
    bytes_read: int
    """Bytes that reading the headers took."""
    paths: tuple[Path, ...] = ()
    """All files, in order."""

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def line(self, key: str) -> str | None:
        """A text for display: one short line without control characters."""
        value = self.text(key)
        return None if value is None else "".join(c for c in value[:_MAX_LINE] if c.isprintable()).strip() or None

    def integer(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def numbers(self, key: str) -> tuple[int, ...] | None:
        """An integer, or an array with one per layer, as a tuple."""
        value = self.metadata.get(key)
        if isinstance(value, tuple):
            return tuple(int(item) for item in value if isinstance(item, int))
        number = self.integer(key)
        return None if number is None else (number,)

    def of_architecture(self, key: str) -> int | None:
        """The integer under ``<architecture>.<key>``."""
        return self.integer(f"{self.architecture}.{key}")

    def count(self, key: str) -> int | None:
        """Elements of the array under ``key``, kept or not."""
        value = self.metadata.get(key)
        if isinstance(value, Elided):
            return value.count
        return len(value) if isinstance(value, tuple) else None

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or ""

    @property
    def name(self) -> str:
        return self.line("general.name") or self.line("general.basename") or ""

    @property
    def kind(self) -> str:
        """``model``, ``diffusion``, ``adapter``, ``controlvector``, ``mmproj``, ``imatrix`` or ``vocab``."""
        if self.architecture == "clip":
            return "mmproj"
        if self.architecture == "controlvector":
            return "controlvector"
        declared = self.text("general.type")
        if declared and declared != "model":
            return declared
        if not self.tensors:
            return "vocab"
        return "model" if self.picture_architecture is None else "diffusion"

    @property
    def picture_architecture(self) -> str | None:
        """Of a model that makes pictures. Some converters declare none; their tensors tell."""
        if self.architecture:
            return self.architecture if self.architecture in DIFFUSION_ARCHITECTURES else None
        return diffusion_architecture({tensor.name: tensor.shape for tensor in self.tensors})

    @property
    def parameter_count(self) -> int:
        return sum(tensor.elements for tensor in self.tensors) or self.integer("general.parameter_count") or 0

    @property
    def weights_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def quantization(self) -> str | None:
        """``Q4_K_M`` and the like: as declared, else the tensor type with the most bytes."""
        declared = self.integer("general.file_type")
        if declared is not None and (label := FILE_TYPES.get(declared & ~_GUESSED_FLAG)):
            return label
        sizes: Counter[str] = Counter()
        for tensor in self.tensors:
            sizes[tensor.type] += tensor.nbytes
        return sizes.most_common(1)[0][0] if sizes else None

    @property
    def context_length(self) -> int | None:
        """Tokens, as trained."""
        return self.of_architecture("context_length")

    @property
    def position_rows(self) -> int | None:
        """Rows of a learned position table, where there is one: llama.cpp aborts the process beyond its end."""
        for tensor in self.tensors:
            if tensor.name == "position_embd.weight":
                return (*tensor.shape, 1, 1)[1]
        return None

    @property
    def embedding_length(self) -> int | None:
        return self.of_architecture("embedding_length")

    @property
    def block_count(self) -> int | None:
        return self.of_architecture("block_count")

    @property
    def head_count(self) -> tuple[int, ...] | None:
        return self.numbers(f"{self.architecture}.attention.head_count")

    @property
    def head_count_kv(self) -> tuple[int, ...] | None:
        """One number for all layers, or one per layer; the head count where it is missing."""
        return self.numbers(f"{self.architecture}.attention.head_count_kv") or self.head_count

    @property
    def sliding_window(self) -> int | None:
        return self.of_architecture("attention.sliding_window") or None

    @property
    def pooling(self) -> str | None:
        """``mean``, ``cls``, ``last``, ``rank`` or ``none``; None where it is missing."""
        return POOLING_TYPES.get(self.of_architecture("pooling_type") or 0) if self._has("pooling_type") else None

    @property
    def is_embedding(self) -> bool:
        """Whether it produces embeddings (or ranks), not text."""
        return self.pooling not in (None, "none") or any(word in self.architecture for word in _ENCODER_WORDS)

    def long_rope_from(self, n_ctx: int) -> int | None:
        """The smallest context for which llama.cpp takes the long set of rope factors, where a context of ``n_ctx`` has it.

        It chooses by the size of the context, and keys computed with one set don't suit the other.
        """
        original = self.of_architecture("rope.scaling.original_context_length") or 0
        if n_ctx <= original or not any(tensor.name == "rope_factors_long.weight" for tensor in self.tensors):
            return None
        return original + 1

    @property
    def is_encoder(self) -> bool:
        """Whether its tokens see the whole text, so that it has no cache."""
        return self.metadata.get(f"{self.architecture}.attention.causal") is False

    @property
    def is_recurrent(self) -> bool:
        """Whether (part of) its memory is a recurrent state instead of a cache, which can't be trimmed."""
        return self._has("ssm.state_size") or self._has("wkv.head_size") or self._has("shortconv.l_cache")

    @property
    def chat_template(self) -> str | None:
        return self.text("tokenizer.chat_template")

    @property
    def tokenizer(self) -> str | None:
        """``llama`` (SentencePiece), ``gpt2`` (BPE), ``bert`` (WordPiece) and so on."""
        return self.text("tokenizer.ggml.model")

    @property
    def vocabulary_size(self) -> int | None:
        tokens = self.count("tokenizer.ggml.tokens")
        return self.of_architecture("vocab_size") if tokens is None else tokens

    @property
    def expert_count(self) -> int:
        return self.of_architecture("expert_count") or 0

    @property
    def active_parameter_count(self) -> int:
        """Parameters used per token: experts that are not selected don't count."""
        experts, used = self.expert_count, self.of_architecture("expert_used_count") or 0
        total = self.parameter_count
        if not experts or not used:
            return total
        routed = sum(tensor.elements for tensor in self.tensors if "_exps" in tensor.name)
        return total - routed + routed * used // experts

    @property
    def split(self) -> tuple[int, int] | None:
        """(number from 0, count) of a shard."""
        count = self.integer("split.count")
        return (self.integer("split.no") or 0, count) if count and count > 1 else None

    def _has(self, key: str) -> bool:
        return f"{self.architecture}.{key}" in self.metadata
