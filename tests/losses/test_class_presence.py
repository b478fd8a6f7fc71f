import math

import pytest
import torch

from intarsia.core import SegmentationError
from intarsia.losses.class_presence import ClassPresenceLoss, class_presence_loss


def test_by_hand() -> None:
    logits, presence = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]])
    assert class_presence_loss(logits, presence).item() == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert ClassPresenceLoss()(logits, presence).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_perfect_is_zero_and_huge_scores_stay_finite() -> None:
    presence = torch.tensor([[1.0, 0.0]])
    assert class_presence_loss(torch.tensor([[1e4, -1e4]]), presence).item() == 0
    assert class_presence_loss(torch.tensor([[-6e4, 6e4]], dtype=torch.float16), presence).isfinite()


def test_gradient() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    presence = torch.randint(2, (3, 4))
    expected = (torch.sigmoid(logits) - presence).detach() / 12
    class_presence_loss(logits, presence).backward()
    torch.testing.assert_close(logits.grad, expected, rtol=1e-5, atol=1e-7)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(SegmentationError, match=r"shape \(2, 3\) and their target \(2, 4\)"):
        class_presence_loss(torch.zeros(2, 3), torch.zeros(2, 4))
