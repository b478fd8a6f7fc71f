"""What the makers of a data set report: further scores that are computed where the data set names their evaluation.

A data set says it by an attribute `official`: "cityscapes" (IoU and iIoU of classes and categories; AP of objects), "voc" (mAP^r
of objects) or "ade20k" (the mean of pixel accuracy and mIoU). VOC's mIoU, COCO's AP and PQ are what every data set gets.
Cityscapes also has `panoptic(key)`, since its label maps do not tell objects apart; it gives None where there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intarsia.core import ClassSpace, Dataset, Instances, LabelMap, Panoptic
from intarsia.metrics._scores import RowScores
from intarsia.metrics.cityscapes_ap import CityscapesApEvidence, observe_cityscapes_ap, score_cityscapes_ap
from intarsia.metrics.cityscapes_iou import CityscapesIouEvidence, observe_cityscapes_iou, score_cityscapes_iou
from intarsia.metrics.confusion import ConfusionScores

__all__ = ["OfficialTally"]

CITYSCAPES_IOU = {
    "class IoU": "class_miou",
    "class iIoU": "class_miiou",
    "category IoU": "category_miou",
    "category iIoU": "category_miiou",
}


class OfficialTally:
    """Takes down what the evaluation of a data set needs beside that of every data set; nothing where it names none.

    Args:
        dataset: whose `official` is looked at.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._name: str = getattr(dataset, "official", "")
        self._whole: Callable[[str], Panoptic | None] = getattr(dataset, "panoptic", lambda key: None)
        self._iou: list[CityscapesIouEvidence] = []
        self._ap: list[CityscapesApEvidence] = []

    def observe_labels(self, found: LabelMap, truth: LabelMap, key: str) -> None:
        """Take down an image of label maps."""
        whole = self._whole(key) if self._name == "cityscapes" else None
        if whole is not None and _same(whole.classes, truth.classes):
            self._iou.append(observe_cityscapes_iou(found, whole, key))

    def observe_objects(self, found: Instances, truth: Instances, key: str) -> None:
        """Take down an image of objects."""
        whole = self._whole(key) if self._name == "cityscapes" else None
        if whole is not None and _same(whole.classes, truth.classes):
            self._ap.append(observe_cityscapes_ap(found, truth, key, void=whole.ids == 0))

    def of_labels(self, pooled: ConfusionScores) -> dict[str, float]:
        """The official scores of label maps by their names, the first one first; empty where there are none."""
        if self._name == "ade20k":
            return {"mean of pixel accuracy and mIoU": (pooled.pixel_accuracy + pooled.miou) / 2}
        if not self._iou:
            return {}
        scores = score_cityscapes_iou(CityscapesIouEvidence.concatenate(self._iou))
        return {said: float(scores.values[name]) for said, name in CITYSCAPES_IOU.items()}

    def of_objects(self, scores: Mapping[str, RowScores]) -> dict[str, float]:
        """The official scores of objects by their names, the first one first; empty where there are none."""
        if self._name == "voc":
            return {f"mAP^r at 0.{part}": scores["voc_ap"][f"map_{part}0"] for part in ("5", "7")}
        if not self._ap:
            return {}
        found = score_cityscapes_ap(CityscapesApEvidence.concatenate(self._ap))
        return {"AP": found["ap"], "AP50": found["ap_50"]}


def _same(classes: ClassSpace, others: ClassSpace | None) -> bool:
    return others is not None and classes.names == others.names
