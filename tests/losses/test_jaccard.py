import math

import pytest
import torch
from segmentation_models_pytorch.losses import JaccardLoss as TheirJaccardLoss

from intarsia.core import SettingsError
from intarsia.losses.dice import dice_loss
from intarsia.losses.jaccard import JaccardLoss, jaccard_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # p = (3/4, 1/4) for pixel 0 of class 0, p = (1/2, 1/2) for pixel 1 of class 1; pixel 2 is ignored.
    # jaccard[0] = 3/4 / (5/4 + 1 - 3/4) = 1/2, jaccard[1] = 1/2 / (3/4 + 1 - 1/2) = 2/5.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    loss = jaccard_loss(logits, torch.tensor([[[0, 1, IGNORE]]]), ignore_id=IGNORE)
    assert loss.item() == pytest.approx(1 - (1 / 2 + 2 / 5) / 2)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_equals_segmentation_models_pytorch(mode: str, smooth: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1 if mode == "binary" else 3, 5, 6)
    label = torch.randint(3, (2, 5, 6)) if mode == "multiclass" else torch.randint(2, logits.shape)
    label[..., 2, :] = IGNORE
    expected = TheirJaccardLoss(mode, smooth=smooth, ignore_index=IGNORE)(logits, label)
    torch.testing.assert_close(JaccardLoss(ignore_id=IGNORE, smooth=smooth)(logits, label), expected)


def test_one_class_from_dice() -> None:
    logits, label = torch.randn(2, 1, 5, 6), torch.randint(2, (2, 1, 5, 6))
    dice = 1 - dice_loss(logits, label, ignore_id=IGNORE)
    torch.testing.assert_close(jaccard_loss(logits, label, ignore_id=IGNORE), 1 - dice / (2 - dice))


def test_hard_predictions_give_the_iou() -> None:
    label, predicted = torch.tensor([[[0, 0, 1, 1, 1]]]), torch.tensor([[[0, 1, 1, 1, 0]]])
    logits = 200.0 * torch.nn.functional.one_hot(predicted, 2).movedim(-1, 1)
    assert jaccard_loss(logits, label, ignore_id=IGNORE).item() == pytest.approx(1 - (1 / 3 + 2 / 4) / 2)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"smooth is -1\.0"):
        JaccardLoss(ignore_id=IGNORE, smooth=-1.0)
