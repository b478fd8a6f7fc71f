import math

import pytest
import torch
from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits
from torchvision.ops import sigmoid_focal_loss

from intarsia.core import SettingsError
from intarsia.losses.cross_entropy import cross_entropy_loss
from intarsia.losses.focal import FocalLoss, focal_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # p = 3/4 for pixel 0 of class 0, p = 1/2 for pixel 1 of class 1: (1/4)^2 log(4/3) and (1/2)^2 log 2, weights 1 and 3.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    loss = focal_loss(logits, torch.tensor([[[0, 1, IGNORE]]]), ignore_id=IGNORE, class_weight=torch.tensor([1.0, 3.0]), gamma=2)
    assert loss.item() == pytest.approx((math.log(4 / 3) / 16 + 3 * math.log(2) / 4) / 4)


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("classes", [1, 3])
def test_equals_torchvision(alpha: float | None, gamma: float, classes: int) -> None:
    torch.manual_seed(0)
    logits, label = 3 * torch.randn(2, classes, 6, 7), torch.randint(2, (2, classes, 6, 7))
    expected = sigmoid_focal_loss(logits, label.float(), alpha=-1 if alpha is None else alpha, gamma=gamma, reduction="mean")
    loss = FocalLoss(ignore_id=IGNORE, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(loss(logits, label), expected)
    if classes == 1:
        torch.testing.assert_close(loss(logits, label[:, 0]), expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_several_classes_equal_segmentation_models_pytorch(gamma: float) -> None:
    torch.manual_seed(1)
    logits, label = 2 * torch.randn(2, 4, 5, 6), torch.randint(4, (2, 5, 6))
    expected = softmax_focal_loss_with_logits(logits, label, gamma=gamma)
    torch.testing.assert_close(focal_loss(logits, label, ignore_id=IGNORE, gamma=gamma), expected)


def test_without_gamma_it_is_cross_entropy() -> None:
    logits, label, weight = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4)), torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(
        focal_loss(logits, label, ignore_id=IGNORE, gamma=0, class_weight=weight),
        cross_entropy_loss(logits, label, ignore_id=IGNORE, class_weight=weight),
    )


def test_a_sure_pixel_weighs_less_by_the_power_of_gamma() -> None:
    logits = torch.tensor([math.log(9), 0.0]).view(1, 2, 1, 1)  # p = 0.9, so that 1 - p = 0.1
    label = torch.zeros(1, 1, 1).long()
    values = [focal_loss(logits, label, ignore_id=IGNORE, gamma=gamma).item() for gamma in (0, 1, 2)]
    assert values[1] / values[0] == pytest.approx(0.1, rel=1e-5)
    assert values[2] / values[0] == pytest.approx(0.01, rel=1e-5)


def test_a_root_leaves_a_finite_gradient_where_nothing_is_wrong() -> None:
    logits = torch.tensor([300.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
    focal_loss(logits, torch.zeros(1, 1, 1).long(), ignore_id=IGNORE, gamma=0.5).backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"gamma of the focal loss is -1\.0"):
        FocalLoss(ignore_id=IGNORE, gamma=-1.0)
    with pytest.raises(SettingsError, match=r"alpha of the focal loss is 1\.5"):
        FocalLoss(ignore_id=IGNORE, alpha=1.5)
    with pytest.raises(SettingsError, match=r"alpha = 0\.25 weighs one class against its absence, and there are 3 classes"):
        focal_loss(torch.zeros(1, 3, 1, 1), torch.zeros(1, 1, 1).long(), ignore_id=IGNORE, alpha=0.25)
