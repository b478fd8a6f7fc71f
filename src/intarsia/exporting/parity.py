"""How far an exported network is from the one that it was made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from intarsia.core import ModelFileError

__all__ = ["LEAST_AGREEMENT", "Parity", "compare"]

LEAST_AGREEMENT = 0.999
CUT_HW = (13, 22)
"""Rows and columns by which each image is cut to be seen once more, at a size of another remainder by 2, 4, 8, 16 and 32."""


@dataclass(frozen=True)
class Parity:
    """The comparison.

    Args:
        images: how many were looked at, each whole and cut.
        label_agreement: share of pixels whose best class is the same, in the worst image.
        map_agreement: the same of further maps, of which an instance network's objects are made: share of values that differ by
            less than a thousandth of the largest.
        max_difference: the largest between two scores.
    """

    images: int
    label_agreement: float
    map_agreement: float
    max_difference: float

    @property
    def holds(self) -> bool:
        """Whether the export may take the place of the network."""
        return isfinite(self.max_difference) and min(self.label_agreement, self.map_agreement) >= LEAST_AGREEMENT

    def check(self) -> None:
        """Refuse an export that is not the same.

        Raises:
            ModelFileError: it does not hold.
        """
        if not self.holds:
            raise ModelFileError(
                f"The export is not the same network: the labels of an image agree on {self.label_agreement:.2%} of its pixels, "
                f"further maps on {self.map_agreement:.2%}, and {LEAST_AGREEMENT:.1%} are needed; scores differ by up to "
                f"{self.max_difference:.2g}. Nothing is kept of it. Another target (--to) may do."
            )

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def compare(network: nn.Module, exported: nn.Module, images: Iterable[Tensor]) -> Parity:
    """Run both on every image, and on the image without its last rows and columns.

    Args:
        network: `(N, C, H, W) -> Output`, in evaluation mode.
        exported: the same of the export.
        images: (C, H, W) float32, normalised.

    Raises:
        ModelFileError: the export does not run on a size, or gives maps of another size.
    """
    count, labels, maps, largest = 0, 1.0, 1.0, 0.0
    for image in images:
        count += 1
        whole, (rows, columns) = image[None], (max(1, image.shape[1] - CUT_HW[0]), max(1, image.shape[2] - CUT_HW[1]))
        for seen in (whole, whole[..., :rows, :columns].contiguous()):
            with torch.no_grad():
                expected, found = network(seen), exported(seen)
            for name, other in {"": found.logits, **(found.parts or {})}.items():
                _same_shape(name, other, expected.parts[name] if name else expected.logits)
            labels = min(labels, float((_labels(found.logits) == _labels(expected.logits)).float().mean()))
            largest = max(largest, _distance(found.logits, expected.logits))
            for name, other in (found.parts or {}).items():
                value = expected.parts[name]
                near = (other - value).abs() <= 1e-3 * value.abs().max()
                maps = min(maps, float(near.float().mean()))
    return Parity(count, labels, maps, largest)


def _labels(logits: Tensor) -> Tensor:
    return logits > 0 if logits.shape[1] == 1 else logits.argmax(1)


def _distance(found: Tensor, expected: Tensor) -> float:
    """The largest absolute difference; infinite where one is no number and the other is."""
    distance = (found - expected).abs()
    return float(distance.nan_to_num(nan=torch.inf).max())


def _same_shape(name: str, found: Tensor, expected: Tensor) -> None:
    if found.shape != expected.shape:
        raise ModelFileError(
            f"The export gives {name or 'scores'} of shape {tuple(found.shape)}, and the network of {tuple(expected.shape)}: a "
            "size that varies with the image was fixed on the way."
        )
