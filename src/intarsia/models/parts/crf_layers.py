"""A fully connected CRF as layers: mean field that gradients pass through, to be trained with the network before it.

Zheng, Jayasumana, Romera-Paredes et al., "Conditional random fields as recurrent neural networks", ICCV 2015.

Idea: a step of mean field is a filter, a mixing of labels, a sum and a softmax, all differentiable; unrolled, they are a
recurrent network whose weights are those of the kernels and the compatibilities of labels.

    logits (N, K, H, W), image (N, C, H, W) in 0..255
      -> softmax -> filters (position; position and colour) -> weights -> compatibility -> + logits -+-> logits (N, K, H, W)
            ^------------------------------ iterations times ------------------------------------- +

Source: section 4 and figure 1. The same numbers as `intarsia.postprocess.dense_crf.mean_field`, whose lattice it uses.

Deviations: one weight for each kernel, where the paper has one for each kernel and label, which a full compatibility matrix makes
up for. As in the paper, the widths of kernels are not learnt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from intarsia.classical._permutohedral import Lattice
from intarsia.core import SettingsError
from intarsia.postprocess.dense_crf import DenseCRF

__all__ = ["CRFLayers"]


class CRFLayers(nn.Module):
    """Refine logits by the image; what two labels pay beside each other is learnt.

    The lattices of an image are built on the CPU in each call, and filters run there.

    Args:
        num_classes: K, at least 2.
        settings: widths, iterations and normalisation; weights and compatibility are where learning starts. The paper trains with
            5 iterations and infers with 10, so `iterations` may be changed.
    """

    def __init__(self, num_classes: int, settings: DenseCRF | None = None) -> None:
        super().__init__()
        self.settings = settings or DenseCRF(iterations=5)
        self.iterations = self.settings.iterations
        weights = [weight for weight in (self.settings.spatial_weight, self.settings.bilateral_weight) if weight]
        start = self.settings.compatibility
        self.weight = nn.Parameter(torch.tensor(weights, dtype=torch.float32))
        self.compatibility = nn.Parameter(
            1 - torch.eye(num_classes) if start is None else torch.tensor(start, dtype=torch.float32)
        )
        if self.compatibility.shape != (num_classes, num_classes):
            raise SettingsError(f"The compatibility has {len(self.compatibility)} labels, and there are {num_classes} classes.")

    def forward(self, logits: Tensor, image: Tensor) -> Tensor:
        """Logits whose softmax are the beliefs after the last step.

        Args:
            logits: (N, K, H, W).
            image: (N, C, H, W) of the same size, in grey levels of 0 to 255.

        Raises:
            SettingsError: another number of classes, or another size of the image.
        """
        if logits.shape[1] != len(self.compatibility) or logits.shape[2:] != image.shape[2:] or len(logits) != len(image):
            raise SettingsError(
                f"The logits have shape {tuple(logits.shape)} and the image {tuple(image.shape)}; (N, {len(self.compatibility)}, "
                "H, W) and (N, C, H, W) fit."
            )
        with torch.autocast(logits.device.type, enabled=False):
            full = logits if logits.dtype == torch.float64 else logits.float()
            return torch.stack([self._refine(one, picture) for one, picture in zip(full, image, strict=True)])

    def _refine(self, logits: Tensor, image: Tensor) -> Tensor:
        pixels = image.detach().movedim(0, -1).cpu().clamp(0, 255)
        lattices = [
            lattice
            for _, lattice in self.settings.lattices(pixels.numpy() if pixels.dtype == torch.uint8 else (pixels / 255).numpy())
        ]
        unary = logits.flatten(1).T
        scores = unary
        for _ in range(self.iterations):
            belief = scores.softmax(1)
            heard = [weight * _Filter.apply(belief, lattice) for weight, lattice in zip(self.weight, lattices, strict=True)]
            if heard:
                scores = unary - torch.stack(heard).sum(0) @ self.compatibility.T
        return scores.T.reshape(logits.shape)

    def learnt(self) -> DenseCRF:
        """What was learnt as settings, for `refine` and, by `write_refinement`, for `--refine-file`."""
        weights = iter(self.weight.detach().tolist())
        names = [name for name in ("spatial_weight", "bilateral_weight") if getattr(self.settings, name)]
        found: dict[str, Any] = {name: next(weights) for name in names}
        return replace(self.settings, **found, iterations=self.iterations, compatibility=self.compatibility.detach().tolist())


class _Filter(torch.autograd.Function):
    """Values (N, K) filtered by a lattice; the gradient is filtered by its transpose."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, lattice: Lattice, transpose: bool = False) -> Tensor:
        ctx.lattice, ctx.transpose = lattice, transpose
        filtered = lattice.filter(values.detach().cpu().contiguous().numpy(), transpose=transpose)
        return torch.from_numpy(filtered).to(values.device)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        return _Filter.apply(grad[0], ctx.lattice, not ctx.transpose), None, None
