"""Batch normalisation that stays what a trained network made it, for training with small batches."""

from __future__ import annotations

from torch import nn

__all__ = ["freeze_norms"]


def freeze_norms(network: nn.Module) -> None:
    """Let batch normalisations use their running statistics in training too, and train neither scale nor shift.

    `network.train()` undoes the first half; a network with an option for it calls this again in its own `train`.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad_(False)
