"""What the architectures draw best with, and what drawing takes."""

from __future__ import annotations

from dataclasses import dataclass

from parlant_local.images.files import ModelFiles

__all__ = ["SAMPLERS", "Usual", "memory_for", "usual"]

SAMPLERS = (
    "euler",
    "euler_a",
    "heun",
    "dpm2",
    "dpm++2s_a",
    "dpm++2m",
    "dpm++2mv2",
    "ipndm",
    "ipndm_v",
    "lcm",
    "ddim_trailing",
    "tcd",
    "res_multistep",
    "res_2s",
    "er_sde",
)
"""As the library calls them."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What a model of some architecture draws with where nobody says."""

    steps: int = 20
    guidance: float = 7.0
    side: int = 1024
    multiple: int = 16
    """Of which both sides have to be."""
    attention: tuple[int, int] = (24, 16)
    """Heads, and pixels of a token's side, where most memory is taken."""


_USUAL = {
    "sd1": Usual(side=512, multiple=64, attention=(8, 8)),
    "sd2": Usual(side=512, multiple=64, attention=(5, 8)),
    "sdxl": Usual(multiple=64, attention=(10, 16)),
    "sd3": Usual(guidance=4.5),
    "flux": Usual(guidance=1.0),
    "flux2": Usual(guidance=1.0),
    "chroma": Usual(guidance=4.0),
    "qwen_image": Usual(guidance=2.5),
    "z_image": Usual(steps=8, guidance=1.0, attention=(30, 16)),
    "lumina2": Usual(steps=8, guidance=1.0, attention=(30, 16)),
    "anima": Usual(steps=30, guidance=4.0),
    "ovis_image": Usual(steps=30, guidance=5.0),
}

_LIBRARY = 192 * 1024 * 1024  # the process itself, with the vocabularies that the library has built in
_TEXT_TOKENS = 512
# Bytes a pixel: seen; and the unfolded input of a VAE's widest convolution at full size, with the layers around it.
_TINY_DECODER, _DECODER = 2_000, 6_700
_ACTIVATIONS = 24  # vectors of a token that are alive at once, of 3072 numbers


def usual(architecture: str) -> Usual:
    return _USUAL.get(architecture, Usual(guidance=5.0))


def memory_for(files: ModelFiles, width: int, height: int, *, flash_attention: bool) -> int:
    """The bytes that drawing one picture takes: weights, and the larger of what computing a step and decoding take."""
    heads, side = usual(files.architecture).attention
    tokens = width * height // side**2 + _TEXT_TOKENS
    scores = 0 if flash_attention else heads * tokens**2 * 4
    step = scores + tokens * min(3072, _width(files.weights)) * 4 * _ACTIVATIONS
    decoding = width * height * (_TINY_DECODER if files.tiny_decoder else _DECODER)
    return files.weights + max(step, decoding) + _LIBRARY


def _width(weights: int) -> int:
    """Of a transformer with so many bytes, roughly: a small one has no wide vectors."""
    return max(128, int((weights / 1e9) ** 0.5 * 1536))
