"""Several losses as one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from intarsia.losses import loss_targets

__all__ = ["WeightedSum"]


class WeightedSum(nn.Module):
    """`loss = sum of weight * term`; each term gets the targets that it asks for.

    Args:
        terms: losses by name.
        weights: of each, by the same names.
    """

    def __init__(self, terms: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.terms, self.weights = nn.ModuleDict(terms), dict(weights)
        self.TARGETS = tuple(dict.fromkeys(name for term in terms.values() for name in loss_targets(term)))

    def forward(self, logits: Tensor, label: Tensor, **targets: Tensor) -> Tensor:
        values = [
            self.weights[name] * term(logits, label, **{target: targets[target] for target in loss_targets(term)})
            for name, term in self.terms.items()
        ]
        return torch.stack(values).sum()
