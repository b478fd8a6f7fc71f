import math

import numpy as np
import pytest
import torch

from intarsia.core import LabelMap, SegmentationError, SettingsError
from intarsia.data.targets import make_targets
from intarsia.losses import create_loss, target_loss
from intarsia.losses.boundary_aware import BoundaryAwareLoss, boundary_aware_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # Objects: p = 3/4 at a pixel that is one and at one that is not. Borders: none there, p = 1/2 at both.
    logits = torch.tensor([[math.log(3), math.log(3)], [0.0, 0.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[1, 0], [0, 0]]).view(1, 2, 1, 2)
    objects = 0.7 * (math.log(4 / 3) + math.log(4)) / 2 + 0.3 * (1 - 0.75 / (1.5 + 1 - 0.75))
    assert boundary_aware_loss(logits, target).item() == pytest.approx((objects + 0.7 * math.log(2)) / 2)


def test_is_the_sum_of_the_losses_of_each_channel() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 2, 6, 7), torch.randint(2, (2, 2, 6, 7))
    target[:, :, 0] = IGNORE
    target[1, 1] = IGNORE
    made = create_loss({"cross_entropy": 0.6, "jaccard": 0.4}, ignore_id=IGNORE)
    apart = torch.stack([made(logits[:, [k]], target[:, [k]]) for k in range(2)])
    torch.testing.assert_close(BoundaryAwareLoss(balance=0.6)(logits, target), apart.mean())


def test_perfect_is_zero_and_nothing_known_is_zero_too() -> None:
    target = torch.randint(2, (1, 2, 4, 4))
    assert boundary_aware_loss(400.0 * target - 200, target).item() == 0
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = boundary_aware_loss(logits, torch.full_like(target, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_pixels_have_exactly_no_gradient_and_half_precision_does_not_overflow() -> None:
    target = torch.randint(2, (1, 2, 4, 4))
    target[:, 0, 1] = IGNORE
    logits = (6e4 * torch.randn(1, 2, 4, 4).sign()).half().requires_grad_()
    loss = boundary_aware_loss(logits, target)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert torch.equal(logits.grad[:, 0, 1], torch.zeros(1, 4, dtype=torch.float16))


def test_learns_the_target_of_two_cells_that_touch() -> None:
    ids = np.zeros((12, 16), np.int32)
    ids[3:9, 2:8], ids[3:9, 8:14] = 1, 2
    target = torch.from_numpy(make_targets(["touching_borders"], LabelMap(ids))["touching_borders"])[None]
    logits = torch.nn.Parameter(torch.zeros(1, 2, 12, 16))
    loss, optimizer = target_loss("touching_borders"), torch.optim.Adam([logits], lr=0.3)
    for _ in range(40):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    assert torch.equal(logits > 0, target == 1)


def test_gradcheck() -> None:
    torch.manual_seed(1)
    target = torch.randint(2, (1, 2, 3, 3))
    target[0, 0, 0, 0] = IGNORE
    logits = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: boundary_aware_loss(x, target), logits)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"balance of the boundary-aware loss is 1\.5"):
        BoundaryAwareLoss(balance=1.5)
    with pytest.raises(SegmentationError, match=r"shape \(1, 3, 2, 2\) and the target \(1, 3, 2, 2\); both are \(N, 2, H, W\)"):
        boundary_aware_loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2).long())
    with pytest.raises(SegmentationError, match=r"holds \[2\] in 12\.50%"):
        boundary_aware_loss(torch.zeros(1, 2, 2, 2), torch.tensor([[[[0, 1], [1, 2]], [[0, 0], [0, 0]]]]))
