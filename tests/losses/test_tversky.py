import math

import pytest
import torch
from segmentation_models_pytorch.losses import TverskyLoss as TheirTverskyLoss

from intarsia.core import SettingsError
from intarsia.losses.dice import dice_loss
from intarsia.losses.jaccard import jaccard_loss
from intarsia.losses.tversky import TverskyLoss, tversky_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # p = (3/4, 1/4) for pixel 0 of class 0, p = (1/2, 1/2) for pixel 1 of class 1. Class 0: both 3/4, over 1/2, missed 1/4;
    # class 1: both 1/2, over 1/4, missed 1/2.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    loss = tversky_loss(logits, torch.tensor([[[0, 1, IGNORE]]]), ignore_id=IGNORE, alpha=0.2, beta=0.8)
    assert loss.item() == pytest.approx(1 - (0.75 / (0.75 + 0.1 + 0.2) + 0.5 / (0.5 + 0.05 + 0.4)) / 2)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_equals_segmentation_models_pytorch(mode: str, smooth: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1 if mode == "binary" else 3, 5, 6)
    label = torch.randint(3, (2, 5, 6)) if mode == "multiclass" else torch.randint(2, logits.shape)
    label[..., 2, :] = IGNORE
    expected = TheirTverskyLoss(mode, smooth=smooth, alpha=0.3, beta=0.7, ignore_index=IGNORE)(logits, label)
    torch.testing.assert_close(TverskyLoss(ignore_id=IGNORE, smooth=smooth)(logits, label), expected)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 3, 5, 6)])
def test_dice_and_jaccard_are_special_cases(shape: tuple[int, ...]) -> None:
    logits, label = torch.randn(2, 3, 5, 6), torch.randint(2, shape)
    for loss, weight in ((dice_loss, 0.5), (jaccard_loss, 1.0)):
        own = tversky_loss(logits, label, ignore_id=IGNORE, alpha=weight, beta=weight)
        torch.testing.assert_close(own, loss(logits, label, ignore_id=IGNORE))


def test_beta_above_alpha_asks_for_recall() -> None:
    label = torch.tensor([[[1, 1, 0, 0]]])
    too_much, too_little = (torch.tensor(row).view(1, 1, 1, 4) for row in ([50.0, 50, 50, -50], [50.0, -50, -50, -50]))
    for alpha, beta in ((0.3, 0.7), (0.7, 0.3)):
        more, less = (
            tversky_loss(logits, label[:, None], ignore_id=IGNORE, alpha=alpha, beta=beta) for logits in (too_much, too_little)
        )
        assert (more < less) == (alpha < beta)


def test_errors() -> None:
    for alpha, beta in ((-0.1, 0.5), (0.5, 0.0)):
        with pytest.raises(SettingsError, match=rf"Tversky weights are alpha = {alpha} and beta = {beta}"):
            TverskyLoss(ignore_id=IGNORE, alpha=alpha, beta=beta)
