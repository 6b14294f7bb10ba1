"""What an answer depends on, as a digest. A call that chance decides has none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from parlant_local.engine.media.spans import ReadPrompt
from parlant_local.engine.prefixes import as_tokens
from parlant_local.engine.requests import GenerationRequest

__all__ = ["request_key", "text_key"]


def request_key(request: GenerationRequest, seed: int | None) -> str | None:
    """The digest of everything in ``request`` that its answer depends on; None where two runs may differ.

    ``seed``: the engine's, for requests without one.
    """
    sampling = request.sampling
    if sampling.temperature == 0 or sampling.top_k == 1:
        sampling = replace(sampling, seed=None)
    elif sampling.seed is None:
        if seed is None:
            return None
        sampling = replace(sampling, seed=seed)
    # Who asks, how urgently and for how long they wait changes no answer.
    rest = replace(
        request, prompt="", sampling=sampling, prefix_group=None, session=None, priority="normal", deadline=None
    )
    described = repr(rest)  # all of it are frozen dataclasses, whose representations are exact
    if " at 0x" in described:  # but for something that only has an address: nothing is known about its equality
        return None
    digest = hashlib.sha256(described.encode("utf-8", "surrogatepass"))
    digest.update(b"\0" + _prompt(request.prompt))
    return digest.hexdigest()


def _prompt(prompt: str | Sequence[int] | ReadPrompt) -> bytes:
    if isinstance(prompt, str):
        return b"text" + prompt.encode("utf-8", "surrogatepass")
    # What stands in for pictures and sounds is drawn from their digests.
    tokens = prompt.tokens if isinstance(prompt, ReadPrompt) else prompt
    return b"ids " + as_tokens(tokens).tobytes()


def text_key(tokens: Sequence[int]) -> str:
    """Of a text that is embedded."""
    return hashlib.sha256(b"embedding\0" + as_tokens(tokens).tobytes()).hexdigest()
