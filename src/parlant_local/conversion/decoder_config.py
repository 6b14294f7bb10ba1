"""What a decoder's ``config.json`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, field_validator

__all__ = ["Config", "Rope"]


class Rope(BaseModel):
    """How positions are turned, and scaled beyond the length of the training."""

    rope_type: str | None = None
    type: str | None = None  # as older files have it
    rope_theta: float | None = Field(default=None, gt=0)
    partial_rotary_factor: float | None = Field(default=None, gt=0, le=1)
    factor: float | None = Field(default=None, gt=0)
    low_freq_factor: float = Field(default=1.0, gt=0)
    high_freq_factor: float = Field(default=4.0, gt=0)
    original_max_position_embeddings: int | None = Field(default=None, gt=0)
    long_factor: tuple[float, ...] | None = None
    short_factor: tuple[float, ...] | None = None
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool | None = None

    @property
    def kind(self) -> str:
        return self.rope_type or self.type or "default"


class Config(BaseModel):
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0, le=512)
    num_attention_heads: int = Field(gt=0)
    num_key_value_heads: int | None = Field(default=None, gt=0)
    head_dim: int | None = Field(default=None, gt=0)
    rms_norm_eps: float = Field(gt=0)
    max_position_embeddings: int = Field(gt=0)
    original_max_position_embeddings: int | None = Field(default=None, gt=0)
    vocab_size: int = Field(gt=0, le=1 << 22)
    hidden_act: str | None = None
    hidden_activation: str | None = None  # Gemma's name of it
    tie_word_embeddings: bool | None = None
    attention_bias: bool = False
    use_sliding_window: bool | None = None
    sliding_window: int | None = Field(default=None, ge=0)
    sliding_window_pattern: int | None = Field(default=None, gt=0)
    layer_types: tuple[str, ...] | None = None
    use_bidirectional_attention: bool | None = None
    query_pre_attn_scalar: float | None = Field(default=None, gt=0)
    attn_logit_softcapping: float | None = Field(default=None, gt=0)
    final_logit_softcapping: float | None = Field(default=None, gt=0)
    rope_theta: float | None = Field(default=None, gt=0)
    rope_local_base_freq: float | None = Field(default=None, gt=0)
    partial_rotary_factor: float | None = Field(default=None, gt=0, le=1)
    rope_scaling: Rope | None = None
    rope_parameters: Rope | dict[str, Rope] | None = None
    """By the kind of layer where there are several."""

    @field_validator("rope_parameters", mode="before")
    @classmethod
    def _by_layer(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value and all(isinstance(each, Mapping) for each in value.values()):
            return {str(kind): Rope.model_validate(each) for kind, each in value.items()}
        return value if value is None or isinstance(value, Rope) else Rope.model_validate(value)

    @property
    def kv_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def rope(self) -> Rope:
        """Of the layers that see everything."""
        stored = self.rope_parameters
        if isinstance(stored, dict):
            stored = stored.get("full_attention")
        return stored or self.rope_scaling or Rope()

    @property
    def local_rope(self) -> Rope | None:
        """Of the layers that see a window, where they have their own."""
        stored = self.rope_parameters
        return stored.get("sliding_attention") if isinstance(stored, dict) else None
