"""What U-Net adds to the weight of a pixel in the gap between two objects, so that they are not grown together.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, equation 2.
"""

from __future__ import annotations

import numpy as np

from intarsia.core import FloatArray, LabelMap, SettingsError
from intarsia.data.targets._objects import object_numbers, two_nearest

__all__ = ["border_weights"]

REACH = 6.0
"""In sigmas. Beyond it the weight is below 2e-8 of w0, which float32 cannot add to 1; it is 0."""


def border_weights(
    truth: LabelMap, *, w0: float = 10.0, sigma: float = 5.0, class_weight: tuple[float, ...] | None = None
) -> FloatArray:
    """`w0 exp(-(d1 + d2)^2 / (2 sigma^2))` outside objects, d1 and d2 being the distances to the nearest two; 0 inside.

    The paper's map is that plus w_c, which balances the classes by their frequencies in the training data. One image does not
    know those, so w_c is added where they are known: by the loss, as its class weights, or here with `class_weight`. What an
    object is, `object_numbers` says. Distances are between pixel centres, so that in a gap of one pixel d1 = d2 = 1. The paper
    does not say what d1 is inside an object; the weight is for the pixels that separate, hence 0 there.

    Args:
        truth: classes, or numbers of regions with 0 for the background.
        w0: weight where d1 + d2 = 0.
        sigma: width in pixels, > 0.
        class_weight: w_c of each class, to get the paper's whole map; 0 for ignored pixels. None adds nothing.

    Returns:
        (H, W) float32; 0 where the truth is ignored.

    Raises:
        SettingsError: sigma is not positive, or another number of weights than of classes.
    """
    if not sigma > 0:
        raise SettingsError(f"The width of the border weights is sigma = {sigma} pixels; it is greater than 0, such as 5.")
    objects = object_numbers(truth)
    d1, d2 = two_nearest(objects, REACH * sigma)
    weights = np.asarray(w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2)), np.float32)
    weights[objects > 0] = 0
    if truth.classes is None:
        return weights
    if class_weight is not None:
        if len(class_weight) != len(truth.classes):
            raise SettingsError(
                f"There are {len(class_weight)} class weights for {len(truth.classes)} classes; one for each is expected."
            )
        weights += np.asarray(class_weight, np.float32)[np.minimum(truth.ids, len(class_weight) - 1)]
    weights[truth.ids == truth.classes.ignore_id] = 0
    return weights
