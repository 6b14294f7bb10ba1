"""Pictures and sounds in prompts: decoded values in, embeddings for the model out."""

from parlant_local.engine.media.inputs import Image, Media, Sound
from parlant_local.engine.media.spans import ReadPrompt

__all__ = ["Image", "Media", "ReadPrompt", "Sound"]
