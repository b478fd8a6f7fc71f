"""What every comparison of two label maps asks for first: the same classes and the same size."""

from __future__ import annotations

from intarsia.core import ClassSpace, ClassSpaceError, LabelMap, SegmentationError

__all__ = ["ignored_id", "need_same_classes", "need_same_size", "shared_classes"]


def shared_classes(prediction: LabelMap, truth: LabelMap, key: str) -> ClassSpace:
    """The classes of the truth.

    Raises:
        SegmentationError: regions without classes, or sizes that differ.
        ClassSpaceError: other classes.
    """
    if prediction.classes is None or truth.classes is None:
        side = "prediction" if prediction.classes is None else "truth"
        raise SegmentationError(f"{key}: the {side} is made of regions without classes, so no class can be scored.")
    need_same_classes(prediction.classes, truth.classes, f"{key}: prediction and truth do not share their classes")
    need_same_size(prediction.size_hw, truth.size_hw, key)
    return truth.classes


def need_same_classes(one: ClassSpace, other: ClassSpace, what: str) -> None:
    """Raise a `ClassSpaceError` that begins with `what`, unless both have the same names in the same order."""
    if one.names != other.names:
        raise ClassSpaceError(
            f"{what}: {', '.join(one.names)} against {', '.join(other.names)}. The same names in the same order are needed."
        )


def need_same_size(prediction_hw: tuple[int, ...], truth_hw: tuple[int, ...], key: str) -> None:
    """Raise a `SegmentationError` unless the sizes are the same."""
    if prediction_hw != truth_hw:
        prediction, truth = (" x ".join(map(str, size)) for size in (prediction_hw, truth_hw))
        what = "height x width" if len(truth_hw) == 2 else "depth x height x width"
        raise SegmentationError(
            f"{key}: the prediction is {prediction} pixels ({what}) and the truth {truth}. Score at the size of the truth: "
            "resize the scores before the decision."
        )


def ignored_id(truth: LabelMap) -> int:
    """The id of pixels without truth; -1, which no pixel has, for regions without classes."""
    return -1 if truth.classes is None else truth.classes.ignore_id
