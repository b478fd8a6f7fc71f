import pytest
import torch
from segmentation_models_pytorch.losses import LovaszLoss
from torch import Tensor

from intarsia.losses.lovasz_hinge import LovaszHingeLoss, lovasz_hinge_loss

IGNORE = 255


def hinge(logits: Tensor, label: Tensor) -> Tensor:
    """Of one row of pixels."""
    return lovasz_hinge_loss(logits.view(1, 1, 1, -1), label.view(1, 1, -1), ignore_id=IGNORE)


def test_value_by_hand() -> None:
    # Class 1 at logits 0.5 and -1, class 0 at 2: errors 0.5, 2, 3. By falling error: class 0 (J = 1 - 2/3), class 1 at -1
    # (J = 1 - 1/3), class 1 at 0.5 (J = 1): 3 * 1/3 + 2 * 1/3 + 0.5 * 1/3.
    assert hinge(torch.tensor([0.5, -1.0, 2.0, 9.0]), torch.tensor([1, 1, 0, IGNORE])).item() == pytest.approx(5.5 / 3)


def test_without_truth_it_is_the_largest_error_by_hand() -> None:
    assert hinge(torch.tensor([-2.0, 0.3, -0.5]), torch.zeros(3).long()).item() == pytest.approx(1.3)
    assert hinge(torch.tensor([-3.0]), torch.ones(1).long()).item() == pytest.approx(4)


def test_all_wrong_by_the_margin_is_two_and_zero_logits_are_one() -> None:
    label = torch.randint(2, (50,))
    assert hinge(1.0 - 2 * label, label).item() == pytest.approx(2)
    assert hinge(torch.zeros(50), label).item() == pytest.approx(1)


def test_equals_segmentation_models_pytorch() -> None:
    torch.manual_seed(0)
    logits, label = 2 * torch.randn(3, 1, 9, 8), torch.randint(2, (3, 9, 8))
    label[:, 2:4] = IGNORE
    label[1][label[1] == 1] = 0
    expected = LovaszLoss("binary", per_image=True, ignore_index=IGNORE)(logits, label[:, None])
    torch.testing.assert_close(LovaszHingeLoss(ignore_id=IGNORE)(logits, label), expected)


def test_overlapping_classes_are_single_logits_side_by_side() -> None:
    torch.manual_seed(1)
    logits, label = torch.randn(2, 3, 5, 5), torch.randint(2, (2, 3, 5, 5))
    apart = [lovasz_hinge_loss(logits[:, [k]], label[:, k], ignore_id=IGNORE) for k in range(3)]
    torch.testing.assert_close(lovasz_hinge_loss(logits, label, ignore_id=IGNORE), torch.stack(apart).mean())


def test_exclusive_classes_are_each_against_the_rest_where_they_are() -> None:
    torch.manual_seed(2)
    logits, label = torch.randn(2, 3, 5, 5), torch.randint(3, (2, 5, 5))
    label[1][label[1] == 2] = 0
    images = []
    for one, truth in zip(logits, label, strict=True):
        images.append(torch.stack([hinge(one[k].flatten(), (truth == k).long().flatten()) for k in truth.unique()]).mean())
    torch.testing.assert_close(lovasz_hinge_loss(logits, label, ignore_id=IGNORE), torch.stack(images).mean())


def test_is_convex_in_the_logits() -> None:
    torch.manual_seed(3)
    for _ in range(300):
        label = torch.randint(2, (9,))
        one, other = 3 * torch.randn(2, 9, dtype=torch.float64)
        share = torch.rand(()).item()
        between = hinge(share * one + (1 - share) * other, label)
        assert between <= share * hinge(one, label) + (1 - share) * hinge(other, label) + 1e-12
