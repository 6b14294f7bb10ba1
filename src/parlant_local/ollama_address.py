"""Where an Ollama daemon listens."""

from __future__ import annotations

import os

__all__ = ["ollama_address"]


def ollama_address(host: str | None = None) -> str:
    """The URL of ``host``, else of ``OLLAMA_HOST``, else of this machine's port 11434.

    Read as Ollama reads it: scheme and port may be left out. The unspecified address, which a server binds to, means this
    machine to a client.
    """
    from ollama._client import _parse_host  # the client's own reading, so that both mean the same place

    url = _parse_host(host or os.environ.get("OLLAMA_HOST") or None)
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
