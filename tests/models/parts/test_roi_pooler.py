import math

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from intarsia.models.parts.roi_pooler import RoIPooler
from intarsia.ops.roi_align import roi_align
from intarsia.ops.roi_pool import roi_pool

STRIDES = (4, 8, 16, 32)
BOXES = [
    torch.tensor([[3.0, 5, 40, 60], [0, 0, 120, 100], [10, 10, 250, 200]]),
    torch.tensor([[0.0, 0, 256, 256], [100, 80, 103, 90]]),
]


def pyramid() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, 512 // stride, 512 // stride) for stride in STRIDES]


@pytest.mark.parametrize("how", [{}, {"aligned": False}, {"reduce": "max"}, {"kind": "pool"}])
def test_each_region_from_the_level_of_its_size(how: dict) -> None:
    maps = pyramid()
    pooled = RoIPooler(STRIDES, 7, **how)(maps, BOXES)
    rows = [(image, *box.tolist()) for image, boxes in enumerate(BOXES) for box in boxes]
    levels = []
    for row, found in zip(rows, pooled, strict=True):
        area = (row[3] - row[1]) * (row[4] - row[2])
        level = min(max(math.floor(4 + math.log2(math.sqrt(area) / 224)), 2), 5)
        levels.append(level)
        pool = roi_pool if how.get("kind") == "pool" else roi_align
        options = {name: value for name, value in how.items() if name != "kind"}
        torch.testing.assert_close(found, pool(maps[level - 2], torch.tensor([row]), (7, 7), scale=1 / 2**level, **options)[0])
    assert levels == [2, 2, 3, 4, 2]


def test_agrees_with_torchvision() -> None:
    maps = pyramid()
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)({str(i): x for i, x in enumerate(maps)}, BOXES, [(512, 512)] * 2)
    torch.testing.assert_close(RoIPooler(STRIDES, 7, aligned=False)(maps, BOXES), theirs)


def test_one_map_takes_all_and_half_precision_does_not_round_boxes() -> None:
    x = pyramid()[2]
    pooler = RoIPooler((16,), 14)
    full = pooler([x], BOXES)
    assert full.shape == (5, 3, 14, 14)
    torch.testing.assert_close(pooler([x.bfloat16()], BOXES), full, atol=0.02, rtol=0.02)
    assert RoIPooler(STRIDES, 7)(pyramid(), [torch.zeros(0, 4)] * 2).shape == (0, 3, 7, 7)
