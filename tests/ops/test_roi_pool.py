import math

import pytest
import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.ops.roi_pool import roi_pool


def test_by_hand() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    # at half the image's size 2.2 and 9 are 1.1 and 4.5, rounded to 1 and 5 (half away from zero): five pixels, two cells of 2.5
    box = torch.tensor([[0, 2.2, 2.2, 9.0, 9.0]])
    assert roi_pool(x, box, (2, 2), scale=0.5)[0, 0].tolist() == [[6 * 3 + 3, 6 * 3 + 5], [6 * 5 + 3, 6 * 5 + 5]]


def slow(x: Tensor, boxes: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    def cells(start: float, end: float, count: int, side: int) -> list[range]:
        first, last = (math.floor(abs(place * scale) + 0.5) * (1 if place >= 0 else -1) for place in (start, end))
        step = max(last - first + 1, 1) / count
        edges = [(math.floor(i * step) + first, math.ceil((i + 1) * step) + first) for i in range(count)]
        return [range(min(max(low, 0), side), min(max(high, 0), side)) for low, high in edges]

    made = x.new_zeros(len(boxes), x.shape[1], *size)
    for q, (image, x1, y1, x2, y2) in enumerate(boxes.tolist()):
        for row, rows in enumerate(cells(y1, y2, size[0], x.shape[2])):
            for column, columns in enumerate(cells(x1, x2, size[1], x.shape[3])):
                if len(rows) and len(columns):
                    window = x[int(image), :, rows.start : rows.stop, columns.start : columns.stop]
                    made[q, :, row, column] = window.amax((1, 2))
    return made


def test_equals_a_loop() -> None:
    x = torch.randn(2, 3, 9, 12)
    corner = torch.rand(20, 2) * 60 - 5
    boxes = torch.cat([torch.randint(0, 2, (20, 1)), corner, corner + torch.rand(20, 2) * 50], 1)
    boxes[0, 1:] = 300  # nothing of the map
    torch.testing.assert_close(roi_pool(x, boxes, (3, 2), scale=1 / 6), slow(x, boxes, (3, 2), 1 / 6))


def test_it_loses_up_to_half_a_pixel_of_the_map() -> None:
    """Boxes that differ by less than the rounding have the same features, which a mask cannot do with."""
    x = torch.randn(1, 2, 8, 8)
    pooled = roi_pool(x, torch.tensor([[0, 25.0, 25, 90, 90], [0, 38.0, 38, 102, 102]]), (3, 3), scale=1 / 16)
    assert torch.equal(pooled[0], pooled[1])


def test_no_box_gradient_and_refusal() -> None:
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    assert roi_pool(x, torch.zeros(0, 5), (2, 2)).shape == (0, 2, 2, 2)
    assert torch.autograd.gradcheck(lambda x: roi_pool(x, torch.tensor([[0.0, 1, 0, 4, 3]]), (2, 2)), x)
    with pytest.raises(SettingsError, match=r"\(1, 2, 5, 5\) and \(3, 4\) were given"):
        roi_pool(x, torch.zeros(3, 4), (2, 2))
