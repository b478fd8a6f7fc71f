"""Average precision and recall of objects by their masks or boxes as COCO counts them, through faster-coco-eval.

AP is the mean over IoU 0.5, 0.55, ... 0.95 of the interpolated precision at the recalls 0, 0.01, ... 1; AR the recall reached
with at most 1, 10 or 100 objects of a class and image, over the same thresholds; both are means over the classes with a true
object. Small, medium and large objects are divided at 32 x 32 and 96 x 96 pixels of mask, true ones also where boxes are
compared. Crowds of the truth are not counted, nor is what lies on them. Objects of all images are ranked together by their
scores; where all have one score, as in a file of object numbers, the order of a tie decides and AP says little.

Here objects become COCO's annotations with run-length masks, one image at a time, and the arrays of precision and recall that
faster-coco-eval makes of them become tables of class and size. Evidence merges over images and processes; not over tiles, which
cut objects.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its detection evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from intarsia.core import Array, Instances
from intarsia.core.rle import rle_text, runs_of_mask
from intarsia.metrics._ranking import ImageEvidence, ranked
from intarsia.metrics._scores import RowScores, mean_defined
from intarsia.metrics._sides import crowd_of, need_comparable

if TYPE_CHECKING:
    from faster_coco_eval import COCO, COCOeval_faster

__all__ = ["CocoApEvidence", "coco_ap_of_draws", "observe_coco_ap", "score_coco_ap"]

SIZES = ("small", "medium", "large")
Shape = Literal["mask", "box"]
Annotation = Mapping[str, Any]


class CocoImage(NamedTuple):
    """The objects of one image as COCO's annotations, without the ids that they get when all images are together."""

    size_hw: tuple[int, int]
    predicted: tuple[Annotation, ...]
    true: tuple[Annotation, ...]


class CocoApEvidence(ImageEvidence[CocoImage]):
    """The objects of each image."""


def observe_coco_ap(prediction: Instances, truth: Instances, key: str, *, shape: Shape = "mask") -> CocoApEvidence:
    """Take down the objects of one image.

    Args:
        prediction: objects with scores (without, all are equal), which may overlap.
        truth: of the same size and classes.
        key: names the image.
        shape: whether masks or their boxes are compared.

    Raises:
        ClassSpaceError: other classes.
        SegmentationError: another size.
    """
    need_comparable(prediction, truth, key)
    scores = ranked(prediction.score, len(prediction)).tolist()
    predicted = ({**entry, "score": score} for entry, score in zip(_annotations(prediction, shape), scores, strict=True))
    if shape == "box":
        predicted = ({**entry, "area": entry["bbox"][2] * entry["bbox"][3]} for entry in predicted)
    crowds = crowd_of(truth).tolist()
    true = ({**entry, "iscrowd": int(crowd)} for entry, crowd in zip(_annotations(truth, shape), crowds, strict=True))
    image = CocoImage(truth.size_hw, tuple(predicted), tuple(true))
    return CocoApEvidence((f"COCO average precision of {shape}", truth.classes.names, shape), (key,), (image,))


def score_coco_ap(evidence: CocoApEvidence) -> RowScores:
    """The scores of all images together, each in [0, 1]; NaN where no true object defines one.

    Returns:
        "ap", "ap_50", "ap_75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium" and
        "ar_large"; the same with "_of_class" for each class.
    """
    return evidence.score(coco_ap_of_draws(evidence, max_detections=(1, 10, 100)))


def coco_ap_of_draws(
    evidence: CocoApEvidence, *, max_detections: tuple[int, ...] = (100,)
) -> Callable[[Array], Mapping[str, Array]]:
    """Scores of R draws of the I images.

    `bootstrap(evidence.draws, coco_ap_of_draws(evidence))` gives their intervals. Objects are matched once, here; a draw
    only ranks them again, which with 500 images and 20 classes takes about 10 ms.

    Returns:
        A function of (R, I), how often each image was drawn, that gives the scores by the names of `score_coco_ap`, (R,) and
        (R, K): "ar_N" for each N of `max_detections`, and the others for the largest.
    """
    evaluator = _evaluator(evidence, max_detections)
    evaluator.evaluate()
    flat = np.empty(len(evaluator._evalImgs_cpp), np.object_)
    flat[:] = evaluator._evalImgs_cpp  # what became of the objects of a class, size and image; opaque
    matched = flat.reshape(len(evidence.names), 1 + len(SIZES), len(evidence.keys))

    def score(draws: Array) -> Mapping[str, Array]:
        drawn = []
        for times in draws.astype(np.int64):
            chosen = np.repeat(np.arange(len(times)), times)
            evaluator._evalImgs_cpp = matched[..., chosen].ravel().tolist()
            evaluator._paramsEval.imgIds = list(range(len(chosen)))
            evaluator.accumulate()
            drawn.append(_tables(evaluator.eval["precision"], evaluator.eval["recall"], max_detections))
        of_class = {name: np.stack([tables[name] for tables in drawn]) for name in drawn[0]}
        scores = {name: mean_defined(values) for name, values in of_class.items()}
        return scores | {f"{name}_of_class": values for name, values in of_class.items()}

    return score


def _annotations(instances: Instances, shape: Shape) -> Iterator[dict[str, Any]]:
    """COCO's entry for each object; category 1 is class 0."""
    masks = instances.masks
    described = zip(instances.class_id.tolist(), masks.areas().tolist(), masks.boxes_xyxy.tolist(), strict=True)
    for index, (class_id, area, (x0, y0, x1, y1)) in enumerate(described):
        entry = {"category_id": class_id + 1, "area": area, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        if shape == "mask":
            entry["segmentation"] = {"size": list(masks.size_hw), "counts": rle_text(runs_of_mask(masks, index))}
        yield entry


def _evaluator(evidence: CocoApEvidence, max_detections: tuple[int, ...]) -> COCOeval_faster:
    from faster_coco_eval import COCO, COCOeval_faster

    images = [{"id": row, "height": i.size_hw[0], "width": i.size_hw[1]} for row, i in enumerate(evidence.images)]
    categories = [{"id": index, "name": name} for index, name in enumerate(evidence.names, 1)]

    def together(entries: Iterator[tuple[int, Annotation]]) -> COCO:
        annotations = [{**entry, "id": number, "image_id": row} for number, (row, entry) in enumerate(entries, 1)]
        return COCO({"images": images, "categories": categories, "annotations": annotations})

    true = together((row, entry) for row, image in enumerate(evidence.images) for entry in image.true)
    predicted = together((row, entry) for row, image in enumerate(evidence.images) for entry in image.predicted)
    kind = "bbox" if evidence.about[2] == "box" else "segm"
    evaluator = COCOeval_faster(true, predicted, kind, separate_eval=True)
    evaluator.params.maxDets = list(max_detections)
    return evaluator


def _tables(precision: Array, recall: Array, max_detections: tuple[int, ...]) -> dict[str, Array]:
    """(K,) scores from precision (10, 101, K, 4, M) and recall (10, K, 4, M), -1 where there is no true object."""
    precision, recall = (np.where(values < 0, np.nan, values) for values in (precision, recall))
    ap, ar = precision.mean(1)[..., -1], recall.mean(0)  # (10, K, 4), (K, 4, M)
    return {
        "ap": ap[..., 0].mean(0),
        "ap_50": ap[0, :, 0],
        "ap_75": ap[5, :, 0],
        **{f"ap_{size}": ap[..., index].mean(0) for index, size in enumerate(SIZES, 1)},
        **{f"ar_{count}": ar[:, 0, index] for index, count in enumerate(max_detections)},
        **{f"ar_{size}": ar[:, index, -1] for index, size in enumerate(SIZES, 1)},
    }
