"""Well-known models under the names people use for them, with sizes to plan by."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from parlant_local.catalog.records import ModelType

__all__ = ["SHORT_NAMES", "ShortName", "find_short_name", "near_short_names"]

_GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ShortName:
    """A model in Ollama's registry and its counterpart on the hub."""

    name: str
    """As Ollama has it."""
    hub: str
    """Repository with GGUF files."""
    type: ModelType
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
        return int(self.q4_gb * _GB)

    def kv_bytes(self, tokens: int) -> int:
        """Of a cache in f16."""
        return tokens * self.layers * self.kv_width * 2


SHORT_NAMES: tuple[ShortName, ...] = (
    ShortName("llama3.2:1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", ModelType.LLAMA, 1.24, 0.81, 16, 1024, 131072),
    ShortName("llama3.2:3b", "bartowski/Llama-3.2-3B-Instruct-GGUF", ModelType.LLAMA, 3.21, 2.02, 28, 2048, 131072),
    ShortName(
        "llama3.1:8b", "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", ModelType.LLAMA, 8.03, 4.92, 32, 2048, 131072
    ),
    ShortName("llama3.3:70b", "bartowski/Llama-3.3-70B-Instruct-GGUF", ModelType.LLAMA, 70.6, 42.5, 80, 2048, 131072),
    ShortName(
        "deepseek-r1:1.5b",
        "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF",
        ModelType.DEEPSEEK,
        1.78,
        1.12,
        28,
        512,
        131072,
        reasoning=True,
    ),
    ShortName(
        "deepseek-r1:7b",
        "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF",
        ModelType.DEEPSEEK,
        7.62,
        4.68,
        28,
        1024,
        131072,
        reasoning=True,
    ),
    ShortName(
        "deepseek-r1:8b",
        "bartowski/DeepSeek-R1-Distill-Llama-8B-GGUF",
        ModelType.DEEPSEEK,
        8.03,
        4.92,
        32,
        2048,
        131072,
        reasoning=True,
    ),
    ShortName(
        "deepseek-r1:14b",
        "bartowski/DeepSeek-R1-Distill-Qwen-14B-GGUF",
        ModelType.DEEPSEEK,
        14.8,
        8.99,
        48,
        2048,
        131072,
        reasoning=True,
    ),
    ShortName(
        "deepseek-r1:32b",
        "bartowski/DeepSeek-R1-Distill-Qwen-32B-GGUF",
        ModelType.DEEPSEEK,
        32.8,
        19.9,
        64,
        2048,
        131072,
        reasoning=True,
    ),
    ShortName("qwen2.5:0.5b", "bartowski/Qwen2.5-0.5B-Instruct-GGUF", ModelType.QWEN, 0.49, 0.40, 24, 256, 32768),
    ShortName("qwen2.5:1.5b", "bartowski/Qwen2.5-1.5B-Instruct-GGUF", ModelType.QWEN, 1.54, 0.99, 28, 512, 32768),
    ShortName("qwen2.5:3b", "bartowski/Qwen2.5-3B-Instruct-GGUF", ModelType.QWEN, 3.09, 1.93, 36, 512, 32768),
    ShortName("qwen2.5:7b", "bartowski/Qwen2.5-7B-Instruct-GGUF", ModelType.QWEN, 7.62, 4.68, 28, 1024, 32768),
    ShortName("qwen2.5:14b", "bartowski/Qwen2.5-14B-Instruct-GGUF", ModelType.QWEN, 14.8, 8.99, 48, 2048, 32768),
    ShortName("qwen2.5:32b", "bartowski/Qwen2.5-32B-Instruct-GGUF", ModelType.QWEN, 32.8, 19.9, 64, 2048, 32768),
    ShortName("qwen3:0.6b", "Qwen/Qwen3-0.6B-GGUF", ModelType.QWEN, 0.75, 0.48, 28, 2048, 40960, reasoning=True),
    ShortName("qwen3:1.7b", "unsloth/Qwen3-1.7B-GGUF", ModelType.QWEN, 2.03, 1.28, 28, 2048, 40960, reasoning=True),
    ShortName("qwen3:4b", "Qwen/Qwen3-4B-GGUF", ModelType.QWEN, 4.02, 2.50, 36, 2048, 40960, reasoning=True),
    ShortName("qwen3:8b", "Qwen/Qwen3-8B-GGUF", ModelType.QWEN, 8.19, 5.03, 36, 2048, 40960, reasoning=True),
    ShortName("qwen3:14b", "Qwen/Qwen3-14B-GGUF", ModelType.QWEN, 14.8, 9.00, 40, 2048, 40960, reasoning=True),
    ShortName("qwen3:30b", "Qwen/Qwen3-30B-A3B-GGUF", ModelType.QWEN, 30.5, 18.6, 48, 1024, 40960, 3.3, reasoning=True),
    ShortName("mistral:7b", "bartowski/Mistral-7B-Instruct-v0.3-GGUF", ModelType.MISTRAL, 7.25, 4.37, 32, 2048, 32768),
    ShortName(
        "mistral-nemo:12b", "bartowski/Mistral-Nemo-Instruct-2407-GGUF", ModelType.MISTRAL, 12.2, 7.48, 40, 2048, 131072
    ),
    ShortName(
        "mistral-small:24b",
        "bartowski/Mistral-Small-24B-Instruct-2501-GGUF",
        ModelType.MISTRAL,
        23.6,
        14.3,
        40,
        2048,
        32768,
    ),
    ShortName("gemma2:2b", "bartowski/gemma-2-2b-it-GGUF", ModelType.GEMMA, 2.61, 1.71, 26, 2048, 8192),
    ShortName("gemma2:9b", "bartowski/gemma-2-9b-it-GGUF", ModelType.GEMMA, 9.24, 5.76, 42, 4096, 8192),
    ShortName("gemma3:1b", "ggml-org/gemma-3-1b-it-GGUF", ModelType.GEMMA, 1.0, 0.81, 26, 512, 32768),
    ShortName("gemma3:4b", "ggml-org/gemma-3-4b-it-GGUF", ModelType.GEMMA, 3.88, 2.49, 34, 2048, 131072),
    ShortName("gemma3:12b", "ggml-org/gemma-3-12b-it-GGUF", ModelType.GEMMA, 11.8, 7.30, 48, 4096, 131072),
    ShortName("gemma3:27b", "ggml-org/gemma-3-27b-it-GGUF", ModelType.GEMMA, 27.0, 16.5, 62, 4096, 131072),
    ShortName("phi3.5:3.8b", "bartowski/Phi-3.5-mini-instruct-GGUF", ModelType.PHI, 3.82, 2.39, 32, 6144, 131072),
    ShortName(
        "phi4-mini:3.8b", "bartowski/microsoft_Phi-4-mini-instruct-GGUF", ModelType.PHI, 3.84, 2.49, 32, 2048, 131072
    ),
    ShortName("phi4:14b", "bartowski/phi-4-GGUF", ModelType.PHI, 14.7, 9.05, 40, 2560, 16384),
    ShortName(
        "nomic-embed-text:latest", "nomic-ai/nomic-embed-text-v1.5-GGUF", ModelType.EMBEDDING, 0.137, 0.084, 12, 0, 2048
    ),
    ShortName("bge-m3:latest", "gpustack/bge-m3-GGUF", ModelType.EMBEDDING, 0.567, 0.438, 24, 0, 8192),
)


def find_short_name(name: str) -> ShortName | None:
    """The entry of ``name``; without a tag, the smallest model of that name is meant."""
    wanted = name.lower().removeprefix("ollama://").removeprefix("library/")
    if ":" in wanted and not wanted.endswith(":latest"):
        return next((entry for entry in SHORT_NAMES if entry.name == wanted), None)
    family = wanted.removesuffix(":latest")
    matches = [entry for entry in SHORT_NAMES if entry.name.partition(":")[0] == family]
    return min(matches, key=lambda entry: entry.parameters, default=None)


def near_short_names(name: str) -> list[str]:
    """Names in the table that look like ``name``."""
    families = {entry.name.partition(":")[0] for entry in SHORT_NAMES}
    family = name.lower().partition(":")[0]
    if family in families:
        return [entry.name for entry in SHORT_NAMES if entry.name.partition(":")[0] == family][:4]
    return difflib.get_close_matches(name.lower(), [entry.name for entry in SHORT_NAMES], n=3, cutoff=0.5)
