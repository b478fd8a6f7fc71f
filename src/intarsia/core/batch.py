"""What goes into a network and what comes out. NamedTuples, since torch.export takes them apart and puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from intarsia.core.segmentation import Segmentation

__all__ = ["Auxiliary", "Batch", "Output"]


class Batch(NamedTuple):
    """Samples of one size, stacked.

    image: (N, C, H, W) float32, normalised.
    label: (N, H, W) int64 class ids, the ignore id where there is no truth or the image was padded; None without truth.
    keys: the samples' keys.
    sizes_hw: the images' original sizes.
    targets: further training targets by name (borders, presence, boxes ...).
    truths: of the images as they are here, in validation of what finds objects; else none.
    """

    image: Tensor
    label: Tensor | None
    keys: tuple[str, ...]
    sizes_hw: tuple[tuple[int, int], ...]
    targets: Mapping[str, Tensor] | None = None
    truths: tuple[Segmentation, ...] = ()


class Auxiliary(NamedTuple):
    """A head beside the main one.

    name: what it is called in logs.
    logits: its scores, (N, K, h, w) or as its target asks.
    target: what it is trained against: "label" or a name in `Batch.targets`.
    weight: its share in the loss, as in the paper.
    resize: "logits" if the scores grow to the labels, "label" if the labels shrink to the scores.
    """

    name: str
    logits: Tensor
    target: str
    weight: float
    resize: str = "logits"


class Output(NamedTuple):
    """What a network returns, in training and in evaluation alike.

    logits: (N, K, H, W) at the size of the image.
    auxiliary: further heads.
    parts: what a detector carries beside (proposals, matches, boxes, masks), by name; None for semantic networks.
    """

    logits: Tensor
    auxiliary: tuple[Auxiliary, ...] = ()
    parts: Mapping[str, Tensor] | None = None
