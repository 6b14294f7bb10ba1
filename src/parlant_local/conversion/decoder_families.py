"""The families of text generators that are known, and what each has that others don't.

What llama.cpp computes in one way for a whole family is compared with what a model's configuration says, and refused by name where
they differ: the model would work, only worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parlant_local.conversion.decoder_config import Config
from parlant_local.conversion.gguf_writing import Value
from parlant_local.errors import InvalidModelError

__all__ = ["FAMILIES", "Family"]

_TANH = ("gelu_pytorch_tanh",)
_LARGEST = {"gemma2": 46, "gemma3": 62}
"""Layers of the Gemma whose queries llama.cpp scales by the mean width of a head."""


def _nothing(_arch: str, _config: Config) -> dict[str, Value]:
    return {}


@dataclass(frozen=True, slots=True)
class Family:
    arch: str
    """llama.cpp's name of it."""
    interleaved: bool = False
    """Whether llama.cpp turns neighbouring values of a head together: these models' files have the halves apart."""
    own: Callable[[str, Config], dict[str, Value]] = _nothing
    """Metadata that only this family has. Raises :class:`InvalidModelError` for what llama.cpp can't be told."""
    activations: tuple[str, ...] = ("silu",)
    norm_offset: float = 0.0
    """What is added to the weights of norms, where files have them around 0."""
    tied: bool = False
    """Whether embeddings are the output matrix where the configuration doesn't say."""
    query: str = "attn_q"
    """The tensor that each layer must have."""
    theta: float = 10_000.0

    def metadata(self, config: Config) -> dict[str, Value]:
        """Raises :class:`InvalidModelError`."""
        said = config.hidden_activation or config.hidden_act or (self.activations[0] if self.norm_offset else None)
        if said not in self.activations:
            raise InvalidModelError(f"Its hidden_act is {said!r}; models of {self.arch} have {self.activations[0]}.")
        return self.own(self.arch, config)

    def ties(self, config: Config) -> bool:
        return self.tied if config.tie_word_embeddings is None else config.tie_word_embeddings


def _whole_attention(_arch: str, config: Config) -> dict[str, Value]:
    if config.use_sliding_window:
        raise InvalidModelError(
            "It attends to a sliding window (use_sliding_window), which is not known in its family."
        )
    return {}


def _first_window(arch: str, config: Config) -> dict[str, Value]:
    """llama.cpp has no windows for this family: beyond the first one it would compute something else."""
    window = config.sliding_window
    return {f"{arch}.context_length": window} if window and window < config.max_position_embeddings else {}


def _gemma(arch: str, config: Config) -> dict[str, Value]:
    for key in ("attention_bias", "use_bidirectional_attention"):
        if getattr(config, key):
            raise InvalidModelError(f"Its configuration has {key}, which llama.cpp's {arch} has not.")
    return {}


def _gemma2(arch: str, config: Config) -> dict[str, Value]:
    attention, final = config.attn_logit_softcapping, config.final_logit_softcapping
    if attention is None or final is None:
        raise InvalidModelError(
            "It has no attn_logit_softcapping or no final_logit_softcapping; models of gemma2 have both."
        )
    pattern = _pattern(config, 2)
    if not config.sliding_window or pattern == 1:
        raise InvalidModelError("It has no layers with a sliding_window; models of gemma2 have.")
    _check_scale(arch, config)
    return {
        **_gemma(arch, config),
        f"{arch}.attn_logit_softcapping": attention,
        f"{arch}.final_logit_softcapping": final,
        f"{arch}.attention.sliding_window": config.sliding_window,
        f"{arch}.attention.sliding_window_pattern": pattern,
    }


def _gemma3(arch: str, config: Config) -> dict[str, Value]:
    if config.attn_logit_softcapping is not None:
        raise InvalidModelError("It has attn_logit_softcapping, which models of gemma3 have not.")
    _check_scale(arch, config)
    found = _gemma(arch, config)
    if config.final_logit_softcapping is not None:
        found[f"{arch}.final_logit_softcapping"] = config.final_logit_softcapping
    pattern = _pattern(config, 6)
    if not config.sliding_window or pattern == 1:
        return found
    local = config.local_rope
    if local is not None and local.kind != "default":
        raise InvalidModelError(f"The positions in its windows are scaled by {local.kind!r}, which is not known.")
    theta = (local.rope_theta if local is not None else None) or config.rope_local_base_freq or 10_000.0
    window: dict[str, Value] = {
        f"{arch}.attention.sliding_window": config.sliding_window,
        f"{arch}.attention.sliding_window_pattern": pattern,
        f"{arch}.rope.freq_base_swa": theta,
    }
    return found | window


def _check_scale(arch: str, config: Config) -> None:
    """llama.cpp takes a head's width for what queries are scaled by."""
    width = (
        config.hidden_size // config.num_attention_heads if config.num_hidden_layers == _LARGEST[arch] else config.head
    )
    wanted = 256 if config.query_pre_attn_scalar is None else config.query_pre_attn_scalar
    if wanted != width:
        raise InvalidModelError(f"Its query_pre_attn_scalar is {wanted:g}; llama.cpp's {arch} computes with {width}.")


def _pattern(config: Config, usual: int) -> int:
    """Each how many layers one sees everything; 1: all do."""
    pattern = config.sliding_window_pattern or usual
    if config.layer_types is not None:
        full = [at for at, kind in enumerate(config.layer_types) if kind == "full_attention"]
        pattern = full[0] + 1 if full else config.num_hidden_layers + 1
        layers = range(config.num_hidden_layers)
        regular = tuple("sliding_attention" if (at + 1) % pattern else "full_attention" for at in layers)
        if config.layer_types != regular:
            raise InvalidModelError("Its layer_types have no regular pattern of sliding_attention and full_attention.")
    return pattern


def _phi3(arch: str, config: Config) -> dict[str, Value]:
    if config.head * config.num_attention_heads != config.hidden_size:
        raise InvalidModelError(f"Its heads of {config.head} don't make up {config.hidden_size}; those of phi3 do.")
    if config.attention_bias:
        raise InvalidModelError("Its configuration has attention_bias, which models of phi3 have not.")
    return {f"{arch}.attention.sliding_window": 0, **_first_window(arch, config)}


FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family("llama", interleaved=True),
    "MistralForCausalLM": Family("llama", interleaved=True, own=_first_window),
    "Qwen2ForCausalLM": Family("qwen2", own=_whole_attention),
    "Qwen3ForCausalLM": Family("qwen3", own=_whole_attention),
    # An early name of Gemma's activation always meant the approximation.
    "GemmaForCausalLM": Family("gemma", own=_gemma, activations=(*_TANH, "gelu"), norm_offset=1.0, tied=True),
    "Gemma2ForCausalLM": Family("gemma2", own=_gemma2, activations=_TANH, norm_offset=1.0, tied=True),
    "Gemma3ForCausalLM": Family("gemma3", own=_gemma3, activations=_TANH, norm_offset=1.0, tied=True, theta=1e6),
    "Phi3ForCausalLM": Family("phi3", own=_phi3, query="attn_qkv"),
}
"""By the name in ``config.json``'s ``architectures``."""
