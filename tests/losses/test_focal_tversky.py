import pytest
import torch
from segmentation_models_pytorch.losses import TverskyLoss as TheirTverskyLoss

from intarsia.core import SettingsError
from intarsia.losses.focal_tversky import FocalTverskyLoss, focal_tversky_loss
from intarsia.losses.tversky import tversky_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # One class at p = 1/2 in two pixels, one of which has it: both 1/2, over 1/2, missed 1/2, index 1/2 for any weights of sum 1.
    logits, label = torch.zeros(1, 1, 1, 3), torch.tensor([[[[1, 0, IGNORE]]]])
    assert focal_tversky_loss(logits, label, ignore_id=IGNORE, gamma=2.0).item() == pytest.approx(0.5**0.5)


def test_one_class_equals_segmentation_models_pytorch() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, 1, 5, 6), torch.randint(2, (2, 1, 5, 6))
    expected = TheirTverskyLoss("binary", alpha=0.3, beta=0.7, gamma=3 / 4)(logits, label)
    torch.testing.assert_close(FocalTverskyLoss(ignore_id=IGNORE)(logits, label), expected)


def test_several_classes_are_the_mean_over_those_that_are_there() -> None:
    torch.manual_seed(1)
    logits, label = torch.randn(2, 4, 5, 6), torch.randint(2, (2, 4, 5, 6))
    label[:, 3] = 0
    apart = [focal_tversky_loss(logits[:, [k]], label[:, [k]], ignore_id=IGNORE) for k in range(3)]
    torch.testing.assert_close(focal_tversky_loss(logits, label, ignore_id=IGNORE), torch.stack(apart).mean())


def test_gamma_of_one_is_tversky() -> None:
    logits, label = torch.randn(2, 3, 5, 6), torch.randint(3, (2, 5, 6))
    own = focal_tversky_loss(logits, label, ignore_id=IGNORE, gamma=1.0)
    torch.testing.assert_close(own, tversky_loss(logits, label, ignore_id=IGNORE))


def test_a_class_that_is_found_whole_leaves_a_finite_gradient() -> None:
    label = torch.tensor([[[0, 1, 2, 2]]])
    logits = 200.0 * torch.nn.functional.one_hot(label, 3).movedim(-1, 1)
    logits[..., 3] = 0
    logits.requires_grad_()
    focal_tversky_loss(logits, label, ignore_id=IGNORE).backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[0, :, 0, 3] != 0).all()


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"gamma of focal Tversky is 0\.0"):
        FocalTverskyLoss(ignore_id=IGNORE, gamma=0.0)
    with pytest.raises(SettingsError, match=r"alpha = -1\.0"):
        FocalTverskyLoss(ignore_id=IGNORE, alpha=-1.0)
