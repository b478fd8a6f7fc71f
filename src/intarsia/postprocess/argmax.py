"""Scores to labels: enlarge the scores to the size of the image, then take the best class of each pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Array, SegmentationError, smallest_id_dtype

__all__ = ["argmax_label"]

STRIP_VALUES = 1 << 22
"""Most scores that are enlarged at a time: 16 MB of float32, which a cache may hold."""


def argmax_label(
    logits: Tensor, sizes_hw: Sequence[tuple[int, int]], *, prob: bool = False
) -> tuple[list[Array], list[Array] | None]:
    """The best class of every pixel, decided at the size of the image.

    Scores are enlarged before the decision, not labels after it: the border between two classes then runs through the middle of
    a slope instead of along the network's grid. Bilinear, pixel centres at (i + 0.5) / size (align_corners=False), without
    antialiasing. The enlarged scores are made strip by strip, so K full-size maps never exist at once unless `prob` asks for
    them.

    One logit (K = 1) is the score of class 1 against class 0: class 1 where its sigmoid exceeds 0.5. Equal scores go to the class
    with the lower id.

    Args:
        logits: (N, K, h, w), any device and floating dtype.
        sizes_hw: N sizes of the images, H and W.
        prob: also return the softmax (sigmoid for one logit) of the enlarged scores.

    Returns:
        N arrays (H, W) of class ids, in the smallest dtype that holds them, and, with `prob`, N arrays (K, H, W) float32, K = 2
        for one logit.

    Raises:
        SegmentationError: another number of sizes than of images.
    """
    if logits.ndim != 4 or len(sizes_hw) != len(logits):
        raise SegmentationError(
            f"The logits have shape {tuple(logits.shape)} and {len(sizes_hw)} sizes were given; (N, K, h, w) and N sizes fit."
        )
    ids: list[Array] = []
    probs: list[Array] = []
    for scores, (height, width) in zip(logits, sizes_hw, strict=True):
        if len(scores) == 1:
            scores = torch.cat([torch.zeros_like(scores), scores])
        classes = len(scores)
        scores = scores.movedim(0, -1).contiguous()  # class innermost: eight times as fast on a CPU
        ids.append(np.empty((height, width), smallest_id_dtype(classes - 1)))
        if prob:
            probs.append(np.empty((classes, height, width), np.float32))
        rows = max(1, STRIP_VALUES // (classes * width))
        for top in range(0, height, rows):
            strip = slice(top, min(top + rows, height))
            large = _enlarge(scores, (height, width), strip)
            ids[-1][strip] = large.argmax(-1).cpu().numpy()
            if prob:
                probs[-1][:, strip] = large.softmax(-1).movedim(-1, 0).cpu().numpy()
    return ids, probs if prob else None


def _enlarge(scores: Tensor, size_hw: tuple[int, int], strip: slice) -> Tensor:
    """Rows `strip` of scores (h, w, K) resized to (H, W, K), as float32: what `F.interpolate` of the whole would hold there."""
    height, width = size_hw
    low_height, low_width, _ = scores.shape
    if low_height == height:
        rows = scores[strip].float()
    else:
        centre = (torch.arange(strip.start, strip.stop, dtype=torch.float64) + 0.5) * (low_height / height) - 0.5
        centre = centre.clamp(0, low_height - 1)
        above = centre.long()
        below = (above + 1).clamp(max=low_height - 1)
        share = (centre - above).to(scores.device, torch.float32)[:, None, None]
        rows = torch.lerp(scores[above.to(scores.device)].float(), scores[below.to(scores.device)].float(), share)
    if low_width == width:
        return rows
    stacked = rows[None].permute(0, 3, 1, 2)  # (1, K, rows, w), and known to torch as channels-last
    return F.interpolate(stacked, (len(rows), width), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
