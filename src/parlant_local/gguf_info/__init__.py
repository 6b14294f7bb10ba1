"""GGUF files without loading them: header, digest, memory estimate, and locks on files in use."""

from __future__ import annotations

from parlant_local.gguf_info import in_use
from parlant_local.gguf_info.digest import git_blob_sha1, sha256_file
from parlant_local.gguf_info.entries import Entry, read_entries, read_strings
from parlant_local.gguf_info.header import Elided, GGUFHeader, TensorInfo
from parlant_local.gguf_info.kinds import check_is_adapter, check_is_model, check_is_projector, senses_of
from parlant_local.gguf_info.memory import (
    KV_TYPE_BYTES,
    MemoryEstimate,
    available_memory,
    estimate_memory,
    total_memory,
)
from parlant_local.gguf_info.reader import read_file_header, read_header
from parlant_local.gguf_info.shards import shard_names, shard_number, shard_paths

__all__ = [
    "KV_TYPE_BYTES",
    "Elided",
    "Entry",
    "GGUFHeader",
    "MemoryEstimate",
    "TensorInfo",
    "available_memory",
    "check_is_adapter",
    "check_is_model",
    "check_is_projector",
    "estimate_memory",
    "git_blob_sha1",
    "in_use",
    "read_entries",
    "read_file_header",
    "read_header",
    "read_strings",
    "senses_of",
    "sha256_file",
    "shard_names",
    "shard_number",
    "shard_paths",
    "total_memory",
]
