"""A predictor of objects and one of classes, merged into a predictor of panoptic maps."""

from __future__ import annotations

from intarsia.core import Array, ClassSpace, Hints, Instances, LabelMap, Panoptic, Predictor, SettingsError, Task
from intarsia.postprocess.panoptic_merge import joint_classes, merge_panoptic

__all__ = ["Merged"]


class Merged:
    """Two independent predictors, their results merged by `intarsia.postprocess.panoptic_merge`.

    Args:
        instances: of objects.
        semantic: of label maps with classes.
        min_score: objects below are left out.
        max_overlap: largest share of an object that may lie on better ones.
        min_stuff_area: smallest stuff, in pixels of an image of 480 x 640 or larger.

    Raises:
        SettingsError: predictors of other things, or thresholds that are no shares.
    """

    def __init__(
        self,
        instances: Predictor,
        semantic: Predictor,
        *,
        min_score: float = 0.5,
        max_overlap: float = 0.5,
        min_stuff_area: int = 4096,
    ) -> None:
        if instances.task != "instance" or instances.classes is None:
            raise SettingsError(f"{instances.name} makes {instances.task} results; the first to be merged must find objects.")
        if semantic.task != "semantic" or semantic.classes is None:
            raise SettingsError(
                f"{semantic.name} makes {semantic.task} results; the second to be merged must give each pixel a class."
            )
        check_thresholds(min_score, max_overlap, min_stuff_area)
        self.instances, self.semantic = instances, semantic
        self.min_score, self.max_overlap, self.min_stuff_area = min_score, max_overlap, min_stuff_area
        self.classes: ClassSpace = joint_classes(instances.classes, semantic.classes)

    @property
    def name(self) -> str:
        return f"{self.instances.name} + {self.semantic.name}"

    @property
    def task(self) -> Task:
        return "panoptic"

    def predict(self, image: Array, hints: Hints | None = None) -> Panoptic:
        """The panoptic map of an array (H, W) or (H, W, C)."""
        objects, labels = self.instances.predict(image, hints), self.semantic.predict(image, hints)
        if not isinstance(objects, Instances) or not isinstance(labels, LabelMap):
            raise SettingsError(f"{self.name} made a {type(objects).__name__} and a {type(labels).__name__}, which do not merge.")
        return merge_panoptic(
            objects,
            labels,
            min_score=self.min_score,
            max_overlap=self.max_overlap,
            min_stuff_area=self.min_stuff_area,
        )


def check_thresholds(min_score: float, max_overlap: float, min_stuff_area: int) -> None:
    """Refuse thresholds that mean nothing.

    Raises:
        SettingsError: a score or a share outside [0, 1], or an area below 0.
    """
    for name, value in (("min_score", min_score), ("max_overlap", max_overlap)):
        if not 0 <= value <= 1:
            raise SettingsError(f"{name} is {value}; it lies in [0, 1].")
    if min_stuff_area < 0:
        raise SettingsError(f"min_stuff_area is {min_stuff_area}; a number of pixels from 0 up is expected.")
