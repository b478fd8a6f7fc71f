"""What the motion methods share: dense flow, the homography between two frames, foreground without specks."""

from __future__ import annotations

from typing import Literal

import numpy as np

from intarsia.core import Array, BoolArray

__all__ = ["Flow", "camera_motion", "dense_flow", "drop_small"]

Flow = Literal["dis", "farneback"]
LEAST_SIDE = 32
"""Smaller frames are continued at their borders: OpenCV's pyramids need room."""


def dense_flow(frame: Array, following: Array, method: Flow = "dis") -> Array:
    """(H, W, 2) float32 motion (dx, dy) in pixels from each pixel of one frame to the following, both (H, W) uint8."""
    import cv2

    height, width = frame.shape
    grow = [(0, max(0, LEAST_SIDE - side)) for side in (height, width)]
    one, other = (np.pad(gray, grow, mode="edge") for gray in (frame, following))
    flow: Array = np.zeros((*one.shape, 2), np.float32)
    if method == "dis":
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(one, other, flow)
    else:
        flow = cv2.calcOpticalFlowFarneback(one, other, flow, 0.5, 4, 15, 3, 5, 1.2, 0)
    return np.asarray(flow[:height, :width], np.float32)


def camera_motion(frame: Array, following: Array) -> Array:
    """(3, 3) homography from pixels (x, y, 1) of one frame to the following, from corners tracked between them, by RANSAC.

    The identity where there is too little to track. Both frames are (H, W) uint8.
    """
    import cv2

    if min(frame.shape) < LEAST_SIDE // 2:
        return np.eye(3)
    corners = cv2.goodFeaturesToTrack(frame, 500, 0.01, 7)
    if corners is None or len(corners) < 8:
        return np.eye(3)
    found, status, _ = cv2.calcOpticalFlowPyrLK(frame, following, corners, np.zeros_like(corners))
    kept = status.ravel() == 1
    if kept.sum() < 8:
        return np.eye(3)
    homography, inliers = cv2.findHomography(corners[kept], found[kept], cv2.RANSAC, 1.0)
    if homography is None or inliers.sum() < 8:
        return np.eye(3)
    return np.asarray(homography, np.float64)


def drop_small(mask: BoolArray, min_size: int) -> BoolArray:
    """The mask without its 8-connected parts of fewer pixels."""
    from scipy.ndimage import label

    parts, _ = label(mask, np.ones((3, 3)))
    large = np.bincount(parts.ravel()) >= min_size
    large[0] = False
    return np.asarray(large[parts])
