"""Muon, the optimiser for matrices: momentum made orthogonal. It needs half the steps that AdamW needs here."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor


class Muon:
    """Steps a list of matrices, in float32: torch.optim.Muon works in bfloat16, at which older CPUs crawl."""

    def __init__(self, matrices: list[torch.nn.Parameter], rate: float, momentum: float = 0.95) -> None:
        self.rate = rate
        self.momentum = momentum
        shapes: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        self._groups = [(group, torch.zeros(len(group), *shape)) for shape, group in shapes.items()]

    def step(self) -> None:
        """One step along the orthogonalised Nesterov momentum of each gradient."""
        with torch.no_grad():
            for group, buffer in self._groups:
                gradient = torch.stack([p.grad for p in group if p.grad is not None])
                buffer.mul_(self.momentum).add_(gradient, alpha=1 - self.momentum)
                update = _orthogonal(gradient.lerp(buffer, self.momentum))
                scale = max(1.0, update.shape[-2] / update.shape[-1]) ** 0.5
                for parameter, direction in zip(group, update, strict=True):
                    parameter.add_(direction, alpha=-self.rate * scale)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group, _ in self._groups:
            for parameter in group:
                parameter.grad = None


def _orthogonal(matrices: Tensor) -> Tensor:
    """Newton-Schulz, five iterations with the coefficients of Keller Jordan's Muon."""
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    turned = x.shape[-2] > x.shape[-1]
    if turned:
        x = x.mT
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if turned else x
