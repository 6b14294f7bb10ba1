"""Muon for the matrices: momentum whose singular values are made alike, which halves the steps a small model needs."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration in Keller Jordan's description of Muon."""


def orthogonalise(gradients: Tensor, steps: int = 5) -> Tensor:
    """Pushes the singular values of a batch of matrices towards one."""
    a, b, c = _COEFFICIENTS
    x = gradients.to(torch.bfloat16)
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(gradients.dtype)


class Muon:
    """Plain enough to need no base class: `step(rate)` after `backward()`."""

    def __init__(self, weights: Iterable[nn.Parameter], momentum: float = 0.95, decay: float = 0.05) -> None:
        self.momentum, self.decay = momentum, decay
        by_shape: dict[torch.Size, list[nn.Parameter]] = {}
        for weight in weights:
            by_shape.setdefault(weight.shape, []).append(weight)
        # Matrices of one shape are orthogonalised in one batch: small products are slow one by one.
        self.groups = [(group, torch.zeros(len(group), *shape)) for shape, group in by_shape.items()]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update of every matrix."""
        for group, buffer in self.groups:
            gradients = torch.stack([weight.grad for weight in group if weight.grad is not None])
            buffer.mul_(self.momentum).add_(gradients)
            updates = orthogonalise(gradients.add(buffer, alpha=self.momentum))
            scale = max(1.0, updates.size(-2) / updates.size(-1)) ** 0.5
            for weight, update in zip(group, updates, strict=True):
                weight.mul_(1 - rate * self.decay).add_(update, alpha=-rate * scale)
                weight.grad = None
