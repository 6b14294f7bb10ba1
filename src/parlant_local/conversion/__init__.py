"""From the files that models are published in to GGUF: one module for each format, and for each family of models.

The result depends on the input alone: the same files give the same bytes, so that a digest can be pinned.
"""

from __future__ import annotations

from parlant_local.conversion.bert import convert_bert
from parlant_local.conversion.decoders import convert_decoder
from parlant_local.conversion.gguf_writing import Tensor, write_gguf
from parlant_local.conversion.safetensors import read_safetensors

__all__ = ["Tensor", "convert_bert", "convert_decoder", "read_safetensors", "write_gguf"]
