"""What every encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Encoder"]


class Encoder(nn.Module, ABC):
    """An image in, features fine to coarse out.

    A feature of stride s has height and width ceil(H / s) and ceil(W / s), whatever the size of the image, if that is a
    multiple of `size_divisor`.

    Attributes:
        channels: of each feature.
        strides: of each feature, in pixels of the image, not decreasing.
        size_divisor: heights and widths of images must be multiples of it; a network grows its image to one
            (`intarsia.ops.reflect.grow_to_multiple`) and crops its answer. 1 for most encoders: any size will do.
        weights_note: where the weights came from, in words.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    size_divisor: int = 1
    weights_note: str = "random initialisation"

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """Features [(N, C_i, H / s_i, W / s_i)] of an image (N, C, H, W)."""
