"""Boxes as the pooling of regions takes them."""

from __future__ import annotations

from torch import Tensor

from intarsia.core import SettingsError

__all__ = ["check_boxes"]


def check_boxes(x: Tensor, boxes: Tensor) -> None:
    """Raises SettingsError unless x is (N, C, H, W) and boxes are (Q, 5)."""
    if x.ndim != 4 or boxes.ndim != 2 or boxes.shape[1] != 5:
        raise SettingsError(
            "Regions are pooled from maps (N, C, H, W) with boxes (Q, 5) of rows (image, x1, y1, x2, y2); "
            f"{tuple(x.shape)} and {tuple(boxes.shape)} were given."
        )
