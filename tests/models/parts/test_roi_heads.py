from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from intarsia.models.parts.mask_detector import MaskDetector
from intarsia.models.parts.objects import Objects
from intarsia.models.parts.roi_heads import MaskRoIHeads

SIZE = (64, 64)


def heads(**others: Any) -> MaskRoIHeads:
    torch.manual_seed(0)
    options = {"channels": 4, "strides": (4, 8), "num_things": 3, "anchor_sizes": (8, 16, 32), "head_channels": 8}
    detector = MaskDetector(**options, mask_channels=8, **others)
    for last in (detector.roi_heads.mask_predictor.mask_fcn_logits, detector.roi_heads.box_predictor.cls_score):
        torch.nn.init.normal_(last.weight)  # so that classes and maps differ
    return detector.roi_heads


def maps(count: int = 1) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(count, 4, 16, 16), torch.randn(count, 4, 8, 8)]


def image_with(boxes: list[list[float]], label: list[int], first_place: int = 0, crowds: Any = ()) -> Objects:
    place = first_place + torch.arange(len(boxes))
    return Objects(
        torch.tensor(boxes).view(-1, 4), torch.tensor(label, dtype=torch.int64), place, torch.tensor(crowds).view(-1, 4)
    )


def iou(a: list[float], b: list[float]) -> float:
    inner = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def test_assignment_against_loops() -> None:
    generator = np.random.default_rng(0)
    truth = [[4.0, 4, 30, 30], [20.0, 10, 60, 40], [2.0, 40, 12, 60]]
    label = [2, 1, 3]
    corner = generator.uniform(0, 40, (60, 2))
    proposals = np.concatenate([corner, corner + generator.uniform(5, 24, (60, 2))], 1)
    proposals[:20] = np.array(truth)[generator.integers(0, 3, 20)] + generator.uniform(-2, 2, (20, 4))
    given = torch.tensor(proposals, dtype=torch.float32)
    parts = heads(regions=256).learn(maps(), [given], [image_with(truth, label, first_place=7)])
    labels, places, wanted = [], [], []
    for box in [*given.tolist(), *truth]:  # fewer than are sampled, so all are there, the objects' own boxes last
        overlap = [iou(box, other) for other in truth]
        best = int(np.argmax(overlap))
        labels.append(label[best] if overlap[best] >= 0.5 else 0)
        if overlap[best] >= 0.5:
            places.append(7 + best)
            (x0, y0, x1, y1), (u0, v0, u1, v1) = box, truth[best]
            w, h = x1 - x0, y1 - y0
            center = 10 * (u0 + u1 - x0 - x1) / 2 / w, 10 * (v0 + v1 - y0 - y1) / 2 / h
            wanted.append([*center, 5 * np.log((u1 - u0) / w), 5 * np.log((v1 - v0) / h)])
    assert parts["label"].tolist() == labels
    assert parts["mask_object"].tolist() == places
    np.testing.assert_allclose(parts["box_delta_targets"], wanted, atol=2e-4)
    assert parts["class_logits"].shape == (63, 4)
    assert parts["mask_logits"].shape == (len(places), 28, 28)
    assert len(places) > 10


def test_a_quarter_is_positive_at_most_and_crowds_are_no_background() -> None:
    box = [4.0, 4, 30, 30]
    near = torch.tensor([box]) + torch.rand(50, 4)
    far = torch.tensor([[40.0, 40, 60, 60]]) + torch.rand(50, 4)
    parts = heads(regions=32).learn(maps(), [torch.cat([near, far])], [image_with([box], [1])])
    assert ((parts["label"] == 1).sum(), len(parts["label"])) == (8, 32)
    parts = heads(regions=32).learn(maps(), [torch.cat([near, far])], [image_with([box], [1], crowds=[[38.0, 38, 62, 62]])])
    assert parts["label"].tolist() == [1] * 8


def test_images_without_objects() -> None:
    proposals = [torch.tensor([[1.0, 1, 20, 20], [5, 5, 9, 9]]), torch.tensor([[3.0, 3, 30, 31]])]
    parts = heads().learn(maps(2), proposals, [image_with([], []), image_with([[4.0, 4, 30, 30]], [2], first_place=5)])
    assert parts["label"].tolist() == [0, 0, 2, 2]
    assert parts["mask_object"].tolist() == [5, 5]
    assert all(value.isfinite().all() for value in parts.values())
    nothing = heads().learn(maps(2), proposals, [image_with([], [])] * 2)
    assert nothing["mask_logits"].shape == (0, 28, 28)
    assert all(value.isfinite().all() for value in nothing.values())


@pytest.mark.parametrize(("masks", "trained"), [("sigmoid", [2]), ("agnostic", [0]), ("softmax", [0, 1, 2, 3])])
def test_only_the_map_of_the_true_class_is_trained(masks: Any, trained: list[int]) -> None:
    made = heads(masks=masks)
    parts = made.learn(maps(), [torch.zeros(0, 4)], [image_with([[4.0, 4, 30, 30]], [2])])
    logits = parts["mask_class_logits"].log_softmax(1)[:, 2] if masks == "softmax" else parts["mask_logits"]
    logits.sum().backward()
    gradient = made.mask_predictor.mask_fcn_logits.weight.grad.flatten(1).abs().sum(1)
    assert torch.where(gradient > 0)[0].tolist() == trained


@pytest.mark.parametrize("masks", ["sigmoid", "agnostic", "softmax"])
def test_detections_carry_the_mask_of_their_class(masks: Any) -> None:
    made = heads(masks=masks, score_threshold=0.1, detections=6).eval()
    boxes = torch.tensor([[4.0, 4, 30, 30], [30, 20, 62, 60], [0, 30, 20, 64]])
    with torch.no_grad():
        found = made.detect(maps(2), [boxes, boxes[:0]], SIZE)
        pooled = made.mask_roi_pool(maps(2), [found["boxes_xyxy"], boxes[:0]])
        logits = made.mask_predictor(made.mask_head(pooled))
    assert found["image_index"].tolist() == [0] * len(found["score"])
    assert 1 < len(found["score"]) <= 6
    assert found["score"].tolist() == sorted(found["score"].tolist(), reverse=True)
    assert found["class_logits"].shape == (3, 4)
    for row, (index, mask) in enumerate(zip(found["class_index"].tolist(), found["mask_logits"], strict=True)):
        assert 0 <= index < 3
        if masks == "sigmoid":
            expected = logits[row, index + 1].sigmoid()
        elif masks == "softmax":
            expected = logits[row].softmax(0)[index + 1]
        else:
            expected = logits[row, 0].sigmoid()
        torch.testing.assert_close(mask.sigmoid(), expected)
