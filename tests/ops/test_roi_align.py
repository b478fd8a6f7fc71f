import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.ops.roi_align import roi_align

Reduce = Literal["mean", "max"]


def ramp(size: tuple[int, int] = (12, 16)) -> Tensor:
    """(1, 2, H, W): the place of each pixel's centre, along columns and along rows."""
    rows, columns = (torch.arange(side, dtype=torch.float64) + 0.5 for side in size)
    return torch.stack([columns.expand(size), rows[:, None].expand(size)])[None]


def test_by_hand() -> None:
    x = torch.tensor([[[[0.0, 1], [2, 3]]]])
    box = torch.tensor([[0, 0.5, 0.5, 1.5, 1.5]])  # from centre to centre
    assert roi_align(x, box, (1, 1), samples=1).item() == 1.5
    assert roi_align(x, box, (1, 1), reduce="max").item() == 0.75 + 2 * 0.75
    assert roi_align(x, box, (2, 2), samples=1)[0, 0].tolist() == [[0.75, 1.25], [1.75, 2.25]]


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_the_ramp_gives_the_places_of_the_cells_and_is_half_a_pixel_off_when_not_aligned(samples: int) -> None:
    box = torch.tensor([[0, 2.3, 1.9, 13.7, 9.1]], dtype=torch.float64)
    found = roi_align(ramp(), box, (5, 7), samples=samples)
    columns = 2.3 + (torch.arange(7, dtype=torch.float64) + 0.5) * (13.7 - 2.3) / 7
    rows = 1.9 + (torch.arange(5, dtype=torch.float64) + 0.5) * (9.1 - 1.9) / 5
    torch.testing.assert_close(found[0, 0], columns.expand(5, 7))
    torch.testing.assert_close(found[0, 1], rows[:, None].expand(5, 7))
    torch.testing.assert_close(roi_align(ramp(), box, (5, 7), samples=samples, aligned=False), found + 0.5)


def slow(x: Tensor, boxes: Tensor, size: tuple[int, int], scale: float, samples: int, aligned: bool, reduce: str) -> Tensor:
    height, width = x.shape[2:]

    def value(image: int, y: float, x_: float) -> Tensor:
        if not (-1 <= y <= height and -1 <= x_ <= width):
            return x.new_zeros(x.shape[1])
        y, x_ = min(max(y, 0), height - 1), min(max(x_, 0), width - 1)
        top, left = int(y), int(x_)
        bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
        v, u, one = y - top, x_ - left, x[image]
        upper = (1 - u) * one[:, top, left] + u * one[:, top, right]
        lower = (1 - u) * one[:, bottom, left] + u * one[:, bottom, right]
        return (1 - v) * upper + v * lower

    made = x.new_zeros(len(boxes), x.shape[1], *size)
    for q, (image, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (corner * scale - 0.5 * aligned for corner in corners)
        cell_h, cell_w = (y2 - y1) / size[0], (x2 - x1) / size[1]
        if not aligned:
            cell_h, cell_w = max(y2 - y1, 1) / size[0], max(x2 - x1, 1) / size[1]
        down, along = (samples, samples) if samples else (math.ceil(cell_h), math.ceil(cell_w))
        for row in range(size[0]):
            for column in range(size[1]):
                cell = [
                    value(int(image), y1 + (row + (i + 0.5) / down) * cell_h, x1 + (column + (j + 0.5) / along) * cell_w)
                    for i in range(down)
                    for j in range(along)
                ]
                stacked = torch.stack(cell)
                made[q, :, row, column] = stacked.mean(0) if reduce == "mean" else stacked.amax(0)
    return made


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("samples", [0, 1, 2])
def test_equals_a_loop(samples: int, aligned: bool, reduce: Reduce) -> None:
    if samples == 0 and reduce == "max":
        return
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    corner = torch.rand(6, 2, dtype=torch.float64) * 25 - 4
    boxes = torch.cat([torch.randint(0, 2, (6, 1)), corner, corner + 0.5 + torch.rand(6, 2) * 20], 1)
    found = roi_align(x, boxes, (2, 3), scale=0.25, samples=samples, aligned=aligned, reduce=reduce)
    torch.testing.assert_close(found, slow(x, boxes, (2, 3), 0.25, samples, aligned, reduce))


def test_a_shift_of_the_map_and_of_the_box_cancel_out() -> None:
    x, box = torch.randn(1, 2, 12, 12), torch.tensor([[0, 3.3, 2.7, 8.9, 9.2]])
    moved = torch.tensor([[0, 5.3, 3.7, 10.9, 10.2]])
    torch.testing.assert_close(roi_align(x.roll((1, 2), (2, 3)), moved, (3, 3)), roi_align(x, box, (3, 3)))


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_no_box_and_gradient(reduce: Reduce) -> None:
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    assert roi_align(x, torch.zeros(0, 5), (2, 2), reduce=reduce).shape == (0, 2, 2, 2)
    box = torch.tensor([[0.0, 0.7, 0.2, 4, 3.6]])
    assert torch.autograd.gradcheck(lambda x: roi_align(x, box, (2, 2), reduce=reduce), x)


def test_refusals() -> None:
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(SettingsError, match="takes max of 0 samples"):
        roi_align(x, torch.zeros(1, 5), (2, 2), samples=0, reduce="max")
    with pytest.raises(SettingsError, match=r"\(1, 1, 4, 4\) and \(4,\) were given"):
        roi_align(x, torch.zeros(4), (2, 2))
