"""Measurements of a model on this machine: perplexity of a text, speed, and the settings that make it fast."""
