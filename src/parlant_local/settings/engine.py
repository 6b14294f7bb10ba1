"""How GGUF models run in this process."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from parlant_local.settings.constraints import ConstraintSettings
from parlant_local.settings.section import Section

__all__ = ["EngineSettings", "FlashAttention", "KvType", "OutputSettings", "PrefixSettings"]

FlashAttention = Literal["auto", "on", "off"]
KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

_MIB = 1024 * 1024


class PrefixSettings(Section):
    """Prompt prefixes kept between requests."""

    memory_mb: int = Field(default=1024, ge=0)
    """Host memory for retained sequence states, in MiB. 0 keeps none."""

    disk: bool = True
    """Keep static prefixes (seen in two sessions or more) on disk, so that a restart starts warm."""

    disk_dir: Path | None = None
    """Directory for them, which processes of one user may share, on several machines, too: what one has computed the others read. None:
    ``prefixes`` in the home."""

    disk_mb: int = Field(default=4096, ge=0)
    """Disk space for them, in MiB."""

    saved_mb: int = Field(default=4096, ge=0)
    """Disk space for prefixes that are saved under a name (``/slots`` of the server), in MiB. 0 allows none."""

    min_tokens: int = Field(default=64, ge=1)
    """Shorter prefixes are cheaper to recompute than to keep."""


class OutputSettings(Section):
    """Answers kept for calls that are repeated exactly: of temperature 0 or with a seed, and embeddings. Others are always computed."""

    memory_mb: int = Field(default=0, ge=0)
    """Memory for them, in MiB. 0 keeps none in memory."""

    disk: bool = False
    """Keep them on disk as well, readable by their owner only. Prompts are not stored, the answers are."""

    disk_mb: int = Field(default=256, ge=0)
    """Disk space for them, in MiB."""


class EngineSettings(Section):
    """Options of the in-process engine; ``None`` means measured or derived at load."""

    library: Literal["auto", "native", "binary"] = "auto"
    """The build of llama.cpp: native (llama-cpp-python, compiled for this processor), binary (xllamacpp's wheel), or auto: native
    where both are installed. One for all models of a process."""

    n_ctx: int | None = Field(default=None, ge=16)
    """Longest request, prompt and answer together, in tokens. None: as trained, shrunk to what fits in memory."""

    kv_tokens: int | None = Field(default=None, ge=16)
    """KV cache cells that all live requests share, allocated at once. None: 8,192 at first, doubled on demand up to room for several
    typical requests, as memory allows."""

    n_seq_max: int | None = Field(default=None, ge=1, le=255)
    """Sequences running at once, one slot reserved for interactive calls; more requests wait in the queue. None: 16 on a GPU. On a
    CPU nine or more; but until the first answer is finished only three on two cores, and two more per further core, since each one
    delays the first answer (for `serve`, whose clients stream their answers, nine or more from the start).
    A number that you set applies from the start."""

    n_batch: int = Field(default=2048, ge=1)
    """Maximum tokens of one llama_decode call."""

    n_ubatch: int | None = Field(default=None, ge=1)
    """Micro-batch: tokens computed at once; cancellation takes effect between two of them. None: 512 on a GPU or with a projector, else
    128."""

    n_threads: int | None = Field(default=None, ge=1)
    """Threads for decoding. None: the usable physical cores, and fewer for small steps where those are faster."""

    n_threads_batch: int | None = Field(default=None, ge=1)
    """Threads for prefill. None: all usable cores."""

    n_gpu_layers: int = -1
    """Layers to offload to GPUs, the output layer counting as one; -1: as many as fit. A number that doesn't fit is refused."""

    kv_type: KvType | None = None
    """Element type of the KV cache. None: f16; bf16 for quantized weights on a CPU that multiplies it natively (AVX512-BF16),
    where flash attention is off."""

    flash_attention: FlashAttention = "auto"
    """"auto": wherever llama.cpp can on a GPU. On a CPU, where it takes up to twice the time for steps of a few tokens, only for
    quantized caches and where the memory for whole rows of attention scores is scarce."""

    unified_kv: bool | None = None
    """One pool of cells for all sequences, or an equal share for each. None: one pool, or as `bench --save` found."""

    use_mmap: bool | None = None
    """Map the file, or read it. None: mapped, unless this CPU computes from a rearranged copy of most of its weights, beside which
    the mapped ones would stay in memory."""

    use_mlock: bool = False

    seed: int | None = Field(default=None, ge=0)
    """Seed of requests without one. None: random each time."""

    rope_freq_base: float | None = Field(default=None, gt=0)
    rope_freq_scale: float | None = Field(default=None, gt=0)

    lora: dict[str, float] = Field(default_factory=dict)
    """LoRA adapters: GGUF path to scale."""

    control_vectors: dict[str, float] = Field(default_factory=dict)
    """Control vectors: GGUF path to strength; negative ones push the other way."""

    control_vector_layers: tuple[int, int] | None = None
    """First and last layer that they are added to. None: all of them."""

    projector: str | None = None
    """The mmproj file of a model that reads pictures or sounds. None: the one that the catalogue has paired with it."""

    vetting: Literal["auto", "always", "never"] = "auto"
    """Whether a model is first loaded in a process of its own, which a corrupt file may crash: "auto", once for each file that no
    hub or registry vouched for; "always", before each load of any file; "never"."""

    vetting_seconds: float = Field(default=60.0, gt=0)
    """Time limit for that, plus a second for each 20 MB of the file."""

    verbose: bool = False
    """Show llama.cpp's own log."""

    max_queue: int = Field(default=256, ge=1)
    """Requests that may wait; further ones are rejected."""

    stall_seconds: float = Field(default=300.0, gt=0)
    """A running request without any progress for this long fails. Waiting in the queue doesn't count."""

    memory_mb: int | None = Field(default=None, ge=64)
    """Memory that loaded models may use together, in MiB; retained prefixes have a limit of their own. None: what is available, less
    a reserve."""

    keep_alive_seconds: float = Field(default=1800.0, ge=0)
    """An idle model is unloaded after this long, or sooner when another one needs its memory; so is one whose last service was collected.
    0: never automatically."""

    prefixes: PrefixSettings = PrefixSettings()
    outputs: OutputSettings = OutputSettings()
    constraints: ConstraintSettings = ConstraintSettings()

    @property
    def linger_seconds(self) -> float:
        """How long a model stays loaded after its last service was collected."""
        return self.keep_alive_seconds or math.inf
