from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from intarsia.models.parts.objects import Objects
from intarsia.models.parts.regions import Regions, candidates, image_of, match_regions, rows, sample_regions

TRUTH = [[4.0, 4, 30, 30], [20.0, 10, 60, 40]]


def objects(boxes: list[list[float]], label: list[int], first_place: int = 0, crowds: Any = ()) -> Objects:
    place = first_place + torch.arange(len(boxes))
    crowded = torch.tensor(crowds, dtype=torch.float32).view(-1, 4)
    return Objects(torch.tensor(boxes).view(-1, 4), torch.tensor(label, dtype=torch.int64), place, crowded)


def iou(a: list[float], b: list[float]) -> float:
    inner = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inner / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def near_and_far(count: int) -> Tensor:
    """Boxes around the first object and boxes that touch none, by turns."""
    generator = torch.Generator().manual_seed(0)
    near = torch.tensor(TRUTH[:1]) + 20 * torch.rand(count, 4, generator=generator) - 10
    far = torch.tensor([[70.0, 70, 90, 90]]) + torch.rand(count, 4, generator=generator)
    return torch.stack([near, far], 1).flatten(0, 1)


def test_matching_against_loops() -> None:
    proposals = near_and_far(20).requires_grad_()
    regions = match_regions([proposals, proposals[:3]], [objects(TRUTH, [2, 1], 5), objects([], [])])
    assert regions.image.tolist() == [0] * 42 + [1] * 3
    boxes = [*proposals.tolist(), *TRUTH]
    labels = []
    for row, box in enumerate(boxes):
        overlaps = [iou(box, truth) for truth in TRUTH]
        best = int(np.argmax(overlaps))
        labels.append([2, 1][best] if overlaps[best] >= 0.5 else 0)
        assert regions.overlap[row].item() == pytest.approx(overlaps[best], abs=1e-6)
        if labels[-1]:
            assert regions.matched_xyxy[row].tolist() == TRUTH[best]
            assert regions.place[row] == 5 + best
    assert regions.label.tolist() == [*labels, 0, 0, 0]
    assert set(labels) == {0, 1, 2}
    assert torch.equal(regions.matched_xyxy[-3:], proposals[:3])
    assert regions.boxes_xyxy.requires_grad, "boxes stay differentiable"


def test_background_in_a_crowd_is_no_example() -> None:
    proposals = near_and_far(10)
    regions = match_regions([proposals], [objects(TRUTH[:1], [1], crowds=[[60.0, 60, 95, 95]])])
    assert regions.label[1:20:2].tolist() == [-1] * 10
    sampled = sample_regions(regions, 40, 0.5)
    assert (sampled.label >= 0).all()


def test_shares_of_positive_and_of_near_background() -> None:
    torch.manual_seed(0)
    overlap = torch.cat([torch.full((50,), value) for value in (0.7, 0.3, 0.0)])
    label = (overlap > 0.5).long()
    one = Regions(torch.rand(150, 4), torch.zeros(150, dtype=torch.int64), label, overlap, torch.rand(150, 4), label)
    both = Regions(*(torch.cat([x, y]) for x, y in zip(one, one._replace(image=one.image + 1), strict=True)))
    found = sample_regions(both, 40, 0.3, near=0.1, near_share=0.85)
    for number in (0, 1):
        mine = found.overlap[found.image == number]
        # 12 of 40 positive, 24 of the other 28 near
        assert [int((mine == value).sum()) for value in torch.tensor([0.7, 0.3, 0.0])] == [12, 24, 4]
    without_near = one.at(one.overlap != 0.3)
    assert len(sample_regions(without_near, 40, 0.3, near=0.1, near_share=0.85).label) == 40, "the far ones take their place"
    assert len(sample_regions(one, 400, 0.5).label) == 150


def test_no_region_at_all() -> None:
    nothing = match_regions([torch.zeros(0, 4)] * 2, [objects([], []), objects([], [])])
    assert [tuple(x.shape) for x in sample_regions(nothing, 8, 0.5)] == [(0, 4), (0,), (0,), (0,), (0, 4), (0,)]


def test_rows_and_candidates() -> None:
    boxes = [torch.rand(2, 4), torch.rand(0, 4), torch.rand(1, 4)]
    image = image_of(boxes)
    assert image.tolist() == [0, 0, 2]
    assert rows(torch.cat(boxes), image)[:, 0].tolist() == [0, 0, 2]
    logits = torch.tensor([[5.0, 1, 0], [0, 1, 3], [0, 0, 0]])
    parts = candidates(torch.cat(boxes), image, logits, torch.zeros(3, 5, 5)).parts
    assert parts["class_index"].tolist() == [0, 1, 0], "the best thing, though background is better"
    torch.testing.assert_close(
        parts["score"], torch.stack([logits[0].softmax(0)[1], logits[1].softmax(0)[2], torch.tensor(1 / 3)])
    )
