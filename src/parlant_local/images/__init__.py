"""Pictures made from words: one protocol, and what implements it."""

from parlant_local.images.base import (
    ImageBackend,
    ImageModel,
    ImageProgress,
    ImageReply,
    ImageRequest,
    OnProgress,
    Picture,
)
from parlant_local.images.directory import ImageDirectory

__all__ = [
    "ImageBackend",
    "ImageDirectory",
    "ImageModel",
    "ImageProgress",
    "ImageReply",
    "ImageRequest",
    "OnProgress",
    "Picture",
]
