"""Deep metric learning: pixels of one object are alike, so that an object grows from one good pixel.

Fathi, Wojna, Rathod, Wang, Song, Guadarrama, Murphy: Semantic Instance Segmentation via Deep Metric Learning. arXiv 2017.

Idea: a network gives each pixel a vector, near those of its own object and far from those of all others. The pixels similar to a
seed are then a mask. A second head says of each pixel, for several widths of that mask, of which class it would be if grown from
there, or that it would be none. Seeds are picked one after the other, of high class probability and unlike those picked before.

    image x 2   -> encoder, /8 -> 1x1 -.
    image       -> the same    -> 1x1 -+
    image x 1/2 -> the same    -> 1x1 -+-> (+) at stride 4 -> embedding, 64    -> (N, 64, H, W)
    image x 1/4 -> the same    -> 1x1 -'                   `-> classes of seeds -> (N, B (T + 1), H, W), B bandwidths

Source: sections 3.1 to 3.3, figure 2; the sum is the paper's 1x1 convolution over the features of all sizes side by side, taken
before they are enlarged. `losses/pairs_and_seeds.py` trains it, `postprocess/grown_masks.py` picks and grows.
Deviations:
    * Any encoder. The paper's is DeepLab v2's ResNet-101 as trained on COCO; here the trunk has ImageNet's weights at best.
    * The paper does not say at which size the features of several sizes meet; here they do at the finest.
    * `form="pyramid"`, for objects of a few pixels and little time: a feature pyramid on the image alone, down to the encoder's
      finest stride, in place of the four sizes.
    * `coordinates`, for objects that look alike, which no convolution tells apart: row and column are mixed into the embedding,
      as in Novotny et al., Semi-convolutional Operators for Instance Segmentation, ECCV 2018, here through a gate, since the
      background is one wherever it is. The paper has none.
    * Normalisation is frozen by an option (`frozen_norm`), since it must learn where the weights are random.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from intarsia.core import Output, SettingsError
from intarsia.encoders import Encoder
from intarsia.models.parts.fpn import FPN
from intarsia.models.parts.frozen_norm import freeze_norms
from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.reflect import crop, grow_to_multiple
from intarsia.ops.resize import resize_bilinear

__all__ = ["MetricLearning"]

COARSEST = 32
"""Images grow to one pixel more than a multiple of it, so that all sizes and features lie on the same pixels."""
UNIT = 16.0
"""Pixels that count as 1 in the coordinates."""


class MetricLearning(nn.Module):
    """Deep metric learning; the logits are the embedding, the scores of seeds are in `parts["seed_scores"]`.

    Args:
        encoder: at output stride 8 in the paper.
        num_classes: T, of things.
        form: "scales" as in the paper, or "pyramid", for small objects.
        scales: sizes of the image, relative to its own; of "scales".
        embedding: length of a pixel's vector.
        bandwidths: least similarities at which masks are grown, between 0 and 1.
        channels: of the pyramid.
        coordinates: the embedding sees where it is.
        frozen_norm: batch normalisation stays as the pretrained weights have it.
    """

    ENCODER: ClassVar[str] = "resnet101"
    OUTPUT_STRIDE: ClassVar[int] = 8
    TINY: ClassVar[dict[str, Any]] = {"encoder": "test_resnet", "embedding": 16, "channels": 16}
    TARGETS: ClassVar[tuple[str, ...]] = ("object_ids", "thing_label")
    LOSS: ClassVar[str] = "pairs_and_seeds"
    DECODER: ClassVar[str] = "grown_masks"

    def __init__(
        self,
        *,
        encoder: Encoder,
        num_classes: int,
        form: Literal["scales", "pyramid"] = "scales",
        scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0),
        embedding: int = 64,
        bandwidths: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9),
        channels: int = 128,
        coordinates: bool = False,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        if not scales or min(scales) <= 0 or not bandwidths or not all(0 < width < 1 for width in bandwidths):
            raise SettingsError(
                f"Metric learning takes at least one scale greater than 0 and one bandwidth between 0 and 1; scales {scales} and "
                f"bandwidths {bandwidths} were given."
            )
        self.encoder, self.scales, self.frozen_norm = encoder, scales, frozen_norm
        self.embedding = embedding
        self.register_buffer("bandwidths", torch.tensor(bandwidths), persistent=False)
        outputs = embedding + len(bandwidths) * (num_classes + 1) + coordinates
        self.pyramid, self.heads = None, nn.ModuleList()
        if form == "pyramid":
            self.pyramid = FPN(encoder.channels, channels=channels, smooth=False)
            hidden = [layer for _ in range(2) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True))]
            self.heads.append(nn.Sequential(*hidden, nn.Conv2d(channels, outputs, 1)))
        else:
            self.heads.extend(nn.Conv2d(encoder.channels[-1], outputs, 1, bias=index == 0) for index in range(len(scales)))
        self.place = nn.Conv2d(2, embedding, 1, bias=False) if coordinates else None
        self.train()

    bandwidths: Tensor

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self)
        return self

    def forward(self, image: Tensor, targets: Mapping[str, Tensor] | None = None) -> Output:
        grown = grow_to_corner_grid(image, COARSEST, divisor=self.encoder.size_divisor)
        made = self._of_pyramid(grown) if self.pyramid is not None else self._of_scales(grown)  # (N, E + B (T + 1), H/4, W/4)
        made = crop(resize_bilinear(made, grown.shape[-2:], align_corners=True), image.shape[-2:])
        embedding, scores = made[:, : self.embedding], made[:, self.embedding :]
        if self.place is not None:
            scores, gate = scores[:, :-1], scores[:, -1:].sigmoid()
            embedding = embedding + gate * self.place(_coordinates(image))
        return Output(embedding, parts={"seed_scores": scores, "bandwidths": self.bandwidths})

    def _of_pyramid(self, grown: Tensor) -> Tensor:
        finest: Tensor = self.pyramid(self.encoder(grown))[0] if self.pyramid is not None else grown
        made: Tensor = self.heads[0](finest)
        return made

    def _of_scales(self, grown: Tensor) -> Tensor:
        made = []
        for scale, head in zip(self.scales, self.heads, strict=True):
            above, below = Fraction(scale).limit_denominator(1000).as_integer_ratio()
            size = [(side - 1) * above // below + 1 for side in grown.shape[-2:]]
            seen = grow_to_multiple(resize_bilinear(grown, size, align_corners=True), self.encoder.size_divisor)
            stride = self.encoder.strides[-1]
            made.append(crop(head(self.encoder(seen)[-1]), [(side - 1) // stride + 1 for side in size]))
        finest = max((x.shape[-2:] for x in made), key=lambda size: size[0] * size[1])
        return torch.stack([resize_bilinear(x, finest, align_corners=True) for x in made]).sum(0)


def _coordinates(image: Tensor) -> Tensor:
    """(1, 2, H, W) rows and columns, from the middle of the image."""
    sides = [(torch.arange(side, device=image.device, dtype=image.dtype) - (side - 1) / 2) / UNIT for side in image.shape[-2:]]
    return torch.stack(torch.meshgrid(*sides, indexing="ij"))[None]
