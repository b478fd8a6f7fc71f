"""Segmentation before deep learning: one file each, arrays in and out, and every one a predictor like a network.

The function called as its file takes an image (H, W, C) and keywords with defaults. The module says what it gives and needs:

* `RESULT`: "regions" (ids (H, W) of regions without class), "foreground" (bool (H, W)), "objects" (ids (H, W), 0 is none) or
  "hinted" (ids (H, W) that are the class ids of the hints);
* `HINTS`: kinds of hints it needs, of "box", "points", "scribbles"; then the second argument is a `Hints`;
* `OPTIONAL_HINTS`: kinds of hints that it can do without; then the second argument is a `Hints` or None, its default;
* `SEQUENCE`: it takes frames (T, H, W, C) instead of an image, and gives (T, H, W).

A method that learns is a class with `fit` instead, whose `RESULT` is "learned": see `Fitted`.
"""

from intarsia.classical._learned import Fitted, fit_method, need_learned, restore_method
from intarsia.classical._method import CLASSICAL, OBJECTS, TWO_CLASSES, Method, MethodDescription, create_method, describe_method

__all__ = [
    "CLASSICAL",
    "OBJECTS",
    "TWO_CLASSES",
    "Fitted",
    "Method",
    "MethodDescription",
    "create_method",
    "describe_method",
    "fit_method",
    "need_learned",
    "restore_method",
]
