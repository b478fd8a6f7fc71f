"""Frame difference: what changed since the frame before, and will have changed in the next, when the camera's motion is undone.

Jain, Nagel, "On the Analysis of Accumulative Difference Pictures from Image Sequences of Real World Scenes", IEEE Transactions on
Pattern Analysis and Machine Intelligence 1979; the camera by Fischler, Bolles, "Random Sample Consensus", CACM 1981.

Idea: a homography maps the neighbouring frames onto this one, as most corners of the image agree about it. A pixel that differs
from both neighbours belongs to what moves, where one neighbour alone would also show the place that the object has left.

Source: corners are tracked by OpenCV (Lucas, Kanade 1981). A pixel is compared with the darkest and brightest of the 3 x 3 around
its place in the neighbour, so that a subpixel error of the homography at an edge is no difference.
Limits: the inside of a plain object does not differ from itself: outlines are found rather than areas (`closing` joins them). The
homography is exact for a camera that turns, or for a flat scene. The first and last frame have one neighbour.
"""

from __future__ import annotations

import numpy as np

from intarsia.classical._motion import camera_motion, drop_small
from intarsia.classical._pixels import as_gray
from intarsia.core import Array, SettingsError

__all__ = ["difference", "frame_difference"]

RESULT = "foreground"
SEQUENCE = True


def frame_difference(frames: Array, *, threshold: float = 0.04, step: int = 1, closing: int = 5, min_size: int = 30) -> Array:
    """Find what moves otherwise than the scene as a whole.

    Args:
        frames: (T, H, W, C), any range of their dtype; colour is read as luma.
        threshold: of the difference, where black to white is 1.
        step: how many frames before and after are looked at; larger for slow motion.
        closing: gaps of the foreground up to this width are closed, in pixels; 0 leaves them.
        min_size: connected foreground of fewer pixels is dropped.

    Returns:
        (T, H, W) bool.

    Raises:
        SettingsError: a step below 1, a threshold that is not positive, a negative closing.
    """
    import cv2

    if step < 1 or threshold <= 0 or closing < 0:
        raise SettingsError(
            f"step is {step}, threshold {threshold} and closing {closing}; 1 or more, above 0 and 0 or more are expected."
        )
    grays = [as_gray(frame) for frame in frames]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(1, closing), max(1, closing)))
    masks = []
    for number, gray in enumerate(grays):
        neighbours = [grays[other] for other in (number - step, number + step) if 0 <= other < len(grays)]
        differs = [difference(gray, neighbour) > threshold for neighbour in neighbours] or [np.zeros(gray.shape, np.bool_)]
        joined = cv2.morphologyEx(np.logical_and.reduce(differs).astype(np.uint8), cv2.MORPH_CLOSE, kernel)
        masks.append(drop_small(joined > 0, min_size))
    return np.stack(masks)


def difference(gray: Array, neighbour: Array) -> Array:
    """(H, W) float32, how far each pixel is outside the range of its 3 x 3 place in the neighbour, the camera's motion undone.

    0 where the place is outside the neighbour. Both are (H, W) float32 in [0, 1].
    """
    import cv2

    bytes_of = [np.rint(image * 255).astype(np.uint8) for image in (gray, neighbour)]
    homography = camera_motion(*bytes_of)
    size = gray.shape[1], gray.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(neighbour, homography, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpPerspective(np.ones_like(neighbour), homography, size, flags=flags, borderValue=0)
    around = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(warped, around), cv2.dilate(warped, around)
    return np.where(cv2.erode(seen, around) > 0.999, np.maximum(gray - high, low - gray), 0).clip(0)
