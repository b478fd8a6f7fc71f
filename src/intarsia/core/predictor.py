"""Image in, segmentation out: the one interface of networks and classical methods."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from intarsia.core.arrays import Array
from intarsia.core.class_space import ClassSpace
from intarsia.core.hints import Hints
from intarsia.core.segmentation import Segmentation

__all__ = ["Predictor", "Task"]

Task = Literal["semantic", "instance", "panoptic", "regions"]


@runtime_checkable
class Predictor(Protocol):
    """Anything that segments an image."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def task(self) -> Task: ...

    @property
    def classes(self) -> ClassSpace | None:
        """The classes it tells apart; None for regions."""

    def predict(self, image: Array, hints: Hints | None = None) -> Segmentation:
        """Segment one image.

        Args:
            image: (H, W, C) uint8, uint16 or float32, of any size.
            hints: what a person said, for interactive methods; others ignore it.

        Returns:
            A segmentation of the image's own size.
        """
