"""Pictures and sounds in prompts: decoded values in, embeddings for the model out."""

from parlant_local.engine.media.inputs import Image, Media, MediaPrompt, Sound

__all__ = ["Image", "Media", "MediaPrompt", "Sound"]
