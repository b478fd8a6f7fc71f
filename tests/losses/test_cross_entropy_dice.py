import math

import pytest
import torch

from intarsia.core import SettingsError
from intarsia.losses.cross_entropy import cross_entropy_loss
from intarsia.losses.cross_entropy_dice import CrossEntropyDiceLoss, cross_entropy_dice_loss
from intarsia.losses.dice import dice_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # Two classes at p = 1/2, one pixel: cross-entropy log 2, dice[0] = 2 * 1/2 / (1/2 + 1) = 2/3.
    loss = cross_entropy_dice_loss(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long), ignore_id=IGNORE)
    assert loss.item() == pytest.approx(math.log(2) + 1 / 3)


def test_is_the_sum_with_every_setting_passed_on() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    label[0, 0] = IGNORE
    weight = torch.tensor([1.0, 2.0, 3.0])
    module = CrossEntropyDiceLoss(ignore_id=IGNORE, class_weight=weight, smoothing=0.1, dice_weight=0.5)
    entropy = cross_entropy_loss(logits, label, ignore_id=IGNORE, class_weight=weight, smoothing=0.1)
    torch.testing.assert_close(module(logits, label), entropy + 0.5 * dice_loss(logits, label, ignore_id=IGNORE))


def test_all_ignored_is_zero_with_a_zero_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy_dice_loss(logits, torch.full((1, 2, 2), IGNORE), ignore_id=IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_gradcheck() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    label = torch.randint(0, 3, (1, 3, 3))
    torch.autograd.gradcheck(lambda x: cross_entropy_dice_loss(x, label, ignore_id=IGNORE, smoothing=0.1), logits)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"Dice term is -1\.0"):
        CrossEntropyDiceLoss(ignore_id=IGNORE, dice_weight=-1.0)
