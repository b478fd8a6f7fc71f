import pytest
import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.ops.roi_warp import roi_warp


def test_by_hand() -> None:
    x = torch.tensor([[[[0.0, 4, 8], [10, 14, 18]]]])
    box = torch.tensor([[0, 0.0, 0.0, 4.0, 2.0]])  # at half the size: columns 0 to 2, rows 0 to 1
    expected = torch.tensor([[0.0, 2, 4, 6], [5, 7, 9, 11]])
    torch.testing.assert_close(roi_warp(x, box, (2, 4), scale=0.5)[0, 0], expected, rtol=0, atol=1e-5)


def slow(x: Tensor, boxes: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """Equations 5 to 8 as they stand: a sum over all pixels with weights max(0, 1 - |distance|)."""
    made = x.new_zeros(len(boxes), x.shape[1], *size)
    for q, (image, x1, y1, x2, y2) in enumerate(boxes):
        for row in range(size[0]):
            for column in range(size[1]):
                y = scale * (y1 + (y2 - y1) * row / size[0])
                x_ = scale * (x1 + (x2 - x1) * column / size[1])
                down = (1 - (y - torch.arange(x.shape[2])).abs()).clamp_min(0)
                along = (1 - (x_ - torch.arange(x.shape[3])).abs()).clamp_min(0)
                made[q, :, row, column] = torch.einsum("chw,h,w->c", x[int(image)], down, along)
    return made


def test_equals_the_equations_with_all_gradients() -> None:
    x = torch.randn(3, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    corner = torch.rand(7, 2, dtype=torch.float64) * 14 - 3
    corners = torch.cat([corner, corner + torch.rand(7, 2) * 9], 1).requires_grad_()
    image = torch.tensor([2, 0, 0, 2, 0, 2, 0], dtype=torch.float64)[:, None]  # none of the second
    found, expected = (f(x, torch.cat([image, corners], 1), (3, 4), scale=0.5) for f in (roi_warp, slow))
    torch.testing.assert_close(found, expected)
    above = torch.randn_like(found)
    for ours, theirs in zip(*(torch.autograd.grad(y, (x, corners), above) for y in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradcheck_in_the_box_and_the_map() -> None:
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    box = torch.tensor([[1.13, 0.87, 4.51, 5.23]], dtype=torch.float64, requires_grad=True)
    image = torch.zeros(1, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, box: roi_warp(x, torch.cat([image, box], 1), (3, 3)), (x, box))


def test_descending_the_gradient_moves_the_box_onto_the_blob() -> None:
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    x = torch.exp(-((rows - 14) ** 2 + (columns - 9) ** 2) / 40)[None, None]
    box = torch.tensor([[4.0, 6.0, 10.0, 12.0]])
    for _ in range(200):
        box.requires_grad_()
        (gradient,) = torch.autograd.grad(roi_warp(x, torch.cat([torch.zeros(1, 1), box], 1), (6, 6)).mean(), box)
        box = (box + 20 * gradient.reshape(1, 2, 2).mean(1).repeat(1, 2)).detach()
    # samples lie at 0 to 5/6 of the box
    assert (box[0, :2] + 5 / 12 * (box[0, 2:] - box[0, :2])).tolist() == pytest.approx([9, 14], abs=0.5)  # linear between pixels


def test_one_pixel_no_box_outside_and_refusal() -> None:
    assert roi_warp(torch.full((1, 1, 1, 1), 3.0), torch.zeros(1, 5), (2, 2)).unique().tolist() == [3]
    x = torch.ones(1, 2, 4, 4)
    assert roi_warp(x, torch.zeros(0, 5), (2, 2)).shape == (0, 2, 2, 2)
    assert roi_warp(x, torch.tensor([[0, 20.0, 20, 30, 30]]), (2, 2)).abs().sum() == 0
    with pytest.raises(SettingsError, match=r"\(2, 4, 4\) and \(1, 5\) were given"):
        roi_warp(x[0], torch.zeros(1, 5), (2, 2))
