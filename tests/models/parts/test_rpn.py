import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from intarsia.models.parts.objects import Objects
from intarsia.models.parts.rpn import RPN

SIZE = (32, 48)


def objects(*boxes: tuple[float, ...], crowds: tuple[tuple[float, ...], ...] = ()) -> Objects:
    label = torch.ones(len(boxes), dtype=torch.int64)
    return Objects(torch.tensor(boxes).view(-1, 4), label, torch.arange(len(boxes)), torch.tensor(crowds).view(-1, 4))


def maps(count: int = 1) -> list[Tensor]:
    return [torch.randn(count, 4, 4, 6), torch.randn(count, 4, 2, 3)]


def anchors_written_out() -> np.ndarray:
    found = []
    for rows, columns, stride, size in ((4, 6, 8, 12), (2, 3, 16, 24)):
        for y in range(rows):
            for x in range(columns):
                for ratio in (0.5, 1.0, 2.0):
                    half = np.round([size / ratio**0.5 / 2, size * ratio**0.5 / 2])
                    found.append([x * stride - half[0], y * stride - half[1], x * stride + half[0], y * stride + half[1]])
    return np.array(found)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inner = max(0, sides[0]) * max(0, sides[1])
    return float(inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner))


def assigned_by_loops(truth: np.ndarray) -> tuple[list[int], list[list[float]]]:
    """The label of each anchor (-1: neither), and the deltas that positive ones should have."""
    anchors = anchors_written_out()
    table = np.array([[iou(box, anchor) for anchor in anchors] for box in truth])
    labels, wanted = [], []
    for number, anchor in enumerate(anchors):
        overlap = table[:, number]
        best_of_some = any(np.isclose(overlap[k], table[k].max()) for k in range(len(truth)))
        label = 1 if overlap.max() >= 0.7 or best_of_some else 0 if overlap.max() < 0.3 else -1
        labels.append(label)
        if label == 1:
            box = truth[overlap.argmax()]
            (w, h), (bw, bh) = anchor[2:] - anchor[:2], box[2:] - box[:2]
            shift = (box[:2] + box[2:] - anchor[:2] - anchor[2:]) / 2
            wanted.append([shift[0] / w, shift[1] / h, np.log(bw / w), np.log(bh / h)])
    return labels, wanted


@pytest.mark.parametrize("truth", [[(3, 2, 15, 13), (20, 8, 44, 30)], [(30, 1, 33, 31)], [(0, 0, 48, 32), (10, 10, 11, 12)]])
def test_assignment_against_loops(truth: list[tuple[float, ...]]) -> None:
    torch.manual_seed(0)
    rpn = RPN(4, [[12], [24]])
    given = tuple(tuple(map(float, box)) for box in truth)
    _, parts = rpn(torch.zeros(1, 3, *SIZE), SIZE, maps(), [objects(*given)])
    labels, wanted = assigned_by_loops(np.array(truth, float))
    # 90 anchors are fewer than are sampled, so all that are not ignored are there, the positive ones first
    assert parts["rpn_label"].tolist() == sorted((label for label in labels if label >= 0), reverse=True)
    np.testing.assert_allclose(parts["rpn_delta_targets"], wanted, atol=1e-5)
    assert parts["rpn_deltas"].shape == parts["rpn_delta_targets"].shape
    assert 0 < len(wanted) < 20


def test_an_object_that_no_anchor_touches_makes_none_positive() -> None:
    """Objects of a pixel or at the far border can lie between anchors, all of which have the IoU zero with them."""
    torch.manual_seed(0)
    rpn = RPN(4, [[2]])
    between, at_one = (4.0, 4.0, 5.0, 5.0), (7.0, 7.0, 9.0, 9.0)
    for boxes, positive in (([between], 0), ([between, at_one], 3)):  # of three ratios, all 2 x 2 pixels when rounded
        _, parts = rpn(torch.zeros(1, 3, *SIZE), SIZE, maps()[:1], [objects(*boxes)])
        assert (int(parts["rpn_label"].sum()), len(parts["rpn_deltas"])) == (positive, positive)


def test_anchors_in_a_crowd_and_images_without_objects() -> None:
    torch.manual_seed(0)
    rpn = RPN(4, [[12], [24]])
    _, parts = rpn(torch.zeros(2, 3, *SIZE), SIZE, maps(2), [objects(), objects(crowds=((0.0, 0, 48, 32),))])
    anchors = anchors_written_out()
    sides = np.minimum(anchors[:, 2:], (48, 32)) - anchors[:, :2].clip(0)
    inside = sides.clip(0).prod(1) > 0.7 * (anchors[:, 2:] - anchors[:, :2]).prod(1)
    assert parts["rpn_label"].tolist() == [0.0] * (90 + 90 - inside.sum())
    assert parts["rpn_deltas"].shape == (0, 4)


def test_at_most_half_of_256_are_positive() -> None:
    torch.manual_seed(0)
    rpn = RPN(4, [[12]])
    crowded = [(float(x), float(y), float(x + 12), float(y + 12)) for x in range(0, 116, 4) for y in range(0, 116, 4)]
    _, parts = rpn(torch.zeros(1, 3, 128, 128), (128, 128), [torch.randn(1, 4, 32, 32)], [objects(*crowded)])
    assert (int(parts["rpn_label"].sum()), len(parts["rpn_label"])) == (128, 256)


def test_proposals_lie_in_the_image_apart_and_as_many_as_asked() -> None:
    torch.manual_seed(0)
    rpn = RPN(4, [[12], [24]], proposals=(30, 7)).eval()
    (first, second), parts = rpn(torch.zeros(2, 3, *SIZE), (30, 41), maps(2))
    assert parts == {}
    assert len(first) == len(second) == 7
    for boxes in (first, second):
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([41, 30, 41, 30])).all()
    finer = rpn.train()(torch.zeros(1, 3, *SIZE), SIZE, [m[:1] for m in maps(2)][:1] + maps()[1:])[0][0]
    assert 7 < len(finer) <= 30
    only = RPN(4, [[12]]).eval()(torch.zeros(1, 3, *SIZE), SIZE, [torch.randn(1, 4, 4, 6)])[0][0]
    assert (box_iou(only, only) - torch.eye(len(only))).max() <= 0.7


def test_half_precision_does_not_move_anchors() -> None:
    torch.manual_seed(0)
    rpn = RPN(4, [[12]])
    grown, x = torch.zeros(1, 3, 32, 2048), torch.randn(1, 4, 4, 256)
    far = objects((1931.0, 3.0, 1943.0, 17.0))
    wanted = rpn(grown, (32, 2048), [x], [far])[1]["rpn_delta_targets"]
    with torch.autocast("cpu", torch.bfloat16):
        parts = rpn(grown, (32, 2048), [x.bfloat16()], [far])[1]
    assert torch.equal(parts["rpn_delta_targets"], wanted)
    assert parts["rpn_objectness"].dtype == parts["rpn_deltas"].dtype == torch.float32


def test_boxes_are_differentiable_where_asked_and_small_ones_are_left_out() -> None:
    for limit in (0.0, 1e-3):
        torch.manual_seed(0)
        rpn = RPN(4, [[12], [24]], box_gradient=limit)
        (boxes,), _ = rpn(torch.zeros(1, 3, *SIZE), SIZE, maps())
        assert boxes.requires_grad == (limit > 0)
        if limit:
            seen: list[Tensor] = []
            rpn.head.bbox_pred.register_full_backward_hook(lambda _m, _i, above, seen=seen: seen.append(above[0]))
            boxes = rpn(torch.zeros(1, 3, *SIZE), SIZE, maps())[0][0]
            boxes.sum().backward()
            assert max(gradient.abs().max().item() for gradient in seen) == pytest.approx(limit), "pixels give far more"
    rpn = RPN(4, [[12], [24]], min_size=15.0)
    (boxes,), _ = rpn(torch.zeros(1, 3, *SIZE), SIZE, maps())
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 15
