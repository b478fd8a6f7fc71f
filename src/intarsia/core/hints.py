"""What a person says about an image to an interactive method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from intarsia.core.arrays import Array
from intarsia.core.errors import SettingsError

__all__ = ["Hints"]

UNKNOWN = -1
"""Value of a scribble map where nothing was said."""


@dataclass(frozen=True, eq=False)
class Hints:
    """Boxes, points and scribbles; any of them may be missing, not all.

    Args:
        boxes_xyxy: (B, 4), pixel corners, half-open: objects lie inside.
        points_yx: (P, 2), pixel indices.
        point_class: (P,) integer class id of each point; 0 is background for methods that cut out one object.
        scribbles: (H, W) integer class ids, -1 where nothing was said.
    """

    boxes_xyxy: Array | None = None
    points_yx: Array | None = None
    point_class: Array | None = None
    scribbles: Array | None = None

    def __post_init__(self) -> None:
        if self.boxes_xyxy is None and self.points_yx is None and self.scribbles is None:
            raise SettingsError("Hints need a box, a point or a scribble, and none was given.")
        if self.boxes_xyxy is not None:
            if self.boxes_xyxy.ndim != 2 or self.boxes_xyxy.shape[1] != 4:
                raise SettingsError(f"Hints.boxes_xyxy has shape {self.boxes_xyxy.shape}; (B, 4) is expected.")
            empty = (self.boxes_xyxy[:, 2:] <= self.boxes_xyxy[:, :2]).any(1)
            if empty.any():
                raise SettingsError(f"The box {self.boxes_xyxy[empty][0].tolist()} is empty; a box is x0, y0, x1, y1.")
        if (self.points_yx is None) != (self.point_class is None):
            raise SettingsError("Hints.points_yx and Hints.point_class come together: a class id for each point.")
        if self.points_yx is not None and self.point_class is not None and self.points_yx.shape != (len(self.point_class), 2):
            raise SettingsError(
                f"Hints.points_yx has shape {self.points_yx.shape}; {len(self.point_class)} classes ask for "
                f"({len(self.point_class)}, 2)."
            )
        if self.scribbles is not None and (self.scribbles.ndim != 2 or self.scribbles.dtype.kind not in "iu"):
            raise SettingsError(
                f"Hints.scribbles is {self.scribbles.dtype} of shape {self.scribbles.shape}; integer (H, W) fits."
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of "box", "points" and "scribbles" were given."""
        given = {"box": self.boxes_xyxy, "points": self.points_yx, "scribbles": self.scribbles}
        return tuple(kind for kind, value in given.items() if value is not None)

    def seeds(self, size_hw: tuple[int, int]) -> Array:
        """Points and scribbles together as an (H, W) int32 map of class ids, -1 where nothing was said."""
        seeds = np.full(size_hw, UNKNOWN, np.int32)
        if self.scribbles is not None:
            if self.scribbles.shape != size_hw:
                raise SettingsError(f"The scribbles are {self.scribbles.shape} and the image {size_hw}; they must agree.")
            seeds[:] = self.scribbles
        if self.points_yx is not None and self.point_class is not None:
            rows, columns = self.points_yx.T
            outside = (rows < 0) | (columns < 0) | (rows >= size_hw[0]) | (columns >= size_hw[1])
            if outside.any():
                raise SettingsError(f"The point {self.points_yx[outside][0].tolist()} (y, x) is outside the image {size_hw}.")
            seeds[rows, columns] = self.point_class
        return seeds
