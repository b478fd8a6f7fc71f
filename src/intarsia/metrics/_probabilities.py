"""What is asked of probabilities before they are counted."""

from __future__ import annotations

from intarsia.core import Array, SegmentationError

__all__ = ["need_probabilities"]


def need_probabilities(prob: Array | None, key: str) -> Array:
    """The probabilities (K, H, W).

    Raises:
        SegmentationError: none, or values outside [0, 1].
    """
    if prob is None:
        raise SegmentationError(f"{key}: the prediction has no probabilities; predict with them, such as `prob=softmax(logits)`.")
    low, high = float(prob.min(initial=1)), float(prob.max(initial=0))
    if not (low >= 0 and high <= 1.001):  # a sum of softmax values in half precision passes 1 a little; NaN fails
        raise SegmentationError(f"{key}: the probabilities run from {low:.4g} to {high:.4g}, outside [0, 1]. Are they logits?")
    return prob
