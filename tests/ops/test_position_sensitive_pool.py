import math

import pytest
import torch
from torch import Tensor
from torchvision import ops

from intarsia.core import SettingsError
from intarsia.ops.position_sensitive_pool import position_sensitive_pool


def test_by_hand() -> None:
    x = torch.arange(4.0)[None, :, None, None].expand(1, 4, 4, 4) + 10 * torch.arange(4.0)
    found = position_sensitive_pool(x, torch.tensor([[0, 0.0, 0.0, 3.0, 3.0]]), group=2, size=4)
    # columns of the map hold 0, 10, 20, 30; the four parts read maps 0 to 3
    assert found[0, 0].tolist() == [[0, 10, 21, 31], [0, 10, 21, 31], [2, 12, 23, 33], [2, 12, 23, 33]]


def slow(x: Tensor, boxes: Tensor, group: int, size: int, scale: float) -> Tensor:
    outputs = x.shape[1] // group**2
    made = x.new_zeros(len(boxes), outputs, size, size)
    for q, (image, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (math.floor(corner + 0.5) for corner in corners)
        left, top = x1 * scale, y1 * scale
        bin_w, bin_h = max((x2 + 1) * scale - left, 0.1) / size, max((y2 + 1) * scale - top, 0.1) / size
        for output in range(outputs):
            for row in range(size):
                for column in range(size):
                    ys = [math.floor(top + row * bin_h), math.ceil(top + (row + 1) * bin_h)]
                    xs = [math.floor(left + column * bin_w), math.ceil(left + (column + 1) * bin_w)]
                    ys, xs = [min(max(y, 0), x.shape[2]) for y in ys], [min(max(x_, 0), x.shape[3]) for x_ in xs]
                    channel = (output * group + row * group // size) * group + column * group // size
                    window = x[int(image), channel, ys[0] : ys[1], xs[0] : xs[1]]
                    made[q, output, row, column] = window.mean() if window.numel() else 0
    return made


@pytest.mark.parametrize(("group", "size"), [(7, 21), (3, 6), (2, 2), (1, 4)])
def test_equals_a_loop(group: int, size: int) -> None:
    x = torch.randn(2, 2 * group**2, 9, 11)
    corner = torch.rand(8, 2) * 160 - 20
    boxes = torch.cat([torch.randint(0, 2, (8, 1)), corner, corner + torch.rand(8, 2) * 90], 1)
    boxes[0, 3:] = boxes[0, 1:3]  # of one pixel of the image
    boxes[1, 1:] += 400  # outside
    found = position_sensitive_pool(x, boxes, group=group, size=size, scale=1 / 16)
    torch.testing.assert_close(found, slow(x, boxes, group, size, 1 / 16), rtol=1e-5, atol=1e-6)


def test_equals_torchvision_where_bins_are_parts_and_boxes_end_on_the_map() -> None:
    x = torch.randn(1, 18, 10, 10)
    boxes = torch.tensor([[0, 16.0, 0.0, 79, 127], [0, 0.0, 32.0, 95, 143]])
    theirs = boxes.clone()
    theirs[:, 3:] += 1  # torchvision's boxes end where the last pixel does
    expected = ops.ps_roi_pool(x, theirs, 3, 1 / 16)
    torch.testing.assert_close(position_sensitive_pool(x, boxes, group=3, size=3, scale=1 / 16), expected)


def test_a_constant_stays_one() -> None:
    x = torch.full((1, 49, 40, 60), 1e4)
    found = position_sensitive_pool(x, torch.tensor([[0, 17.0, 33, 700, 500]]), scale=1 / 16)
    torch.testing.assert_close(found, torch.full((1, 1, 21, 21), 1e4))


def test_no_box_dtype_and_gradient() -> None:
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    assert position_sensitive_pool(x, torch.zeros(0, 5), group=2, size=4).shape == (0, 2, 4, 4)
    assert position_sensitive_pool(x.bfloat16(), torch.zeros(1, 5), group=2, size=2).dtype is torch.bfloat16
    boxes = torch.tensor([[0.0, 0, 1, 4, 3], [0, 2, 0, 3, 3]])
    assert torch.autograd.gradcheck(lambda x: position_sensitive_pool(x, boxes, group=2, size=4), x)


def test_refusals() -> None:
    x = torch.zeros(1, 9, 4, 4)
    with pytest.raises(SettingsError, match="multiple of 3 bins and of 9 maps; 4 bins and 9 maps"):
        position_sensitive_pool(x, torch.zeros(1, 5), group=3, size=4)
    with pytest.raises(SettingsError, match="multiple of 2 bins and of 4 maps; 2 bins and 9 maps"):
        position_sensitive_pool(x, torch.zeros(1, 5), group=2, size=2)
    with pytest.raises(SettingsError, match=r"\(2, 4\) were given"):
        position_sensitive_pool(x, torch.zeros(2, 4), group=3, size=3)
