import itertools
import math

import pytest
import torch
from segmentation_models_pytorch.losses import LovaszLoss
from torch import Tensor

from intarsia.core import SegmentationError
from intarsia.losses._lovasz import lovasz_weights
from intarsia.losses.lovasz_softmax import LovaszSoftmaxLoss, lovasz_softmax_loss

IGNORE = 255


def extension(errors: Tensor, truth: Tensor) -> Tensor:
    """The Lovász extension of rows (R, P)."""
    return (errors * lovasz_weights(errors, truth, torch.ones_like(truth))).sum(1)


def test_value_by_hand() -> None:
    # p = (3/4, 1/4) for pixel 0 of class 0, p = (1/2, 1/2) for pixel 1 of class 1. Class 0: errors 1/4 (its own) and 1/2 (not);
    # the larger first, J = 1 - 1/2 and then 1: 1/2 * 1/2 + 1/4 * 1/2. Class 1: errors 1/4 (not) and 1/2 (its own), J = 1 at once.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    loss = lovasz_softmax_loss(logits, torch.tensor([[[0, 1, IGNORE]]]), ignore_id=IGNORE)
    assert loss.item() == pytest.approx((3 / 8 + 1 / 2) / 2)


def test_one_class_at_equal_probabilities_by_hand() -> None:
    assert lovasz_softmax_loss(torch.zeros(1, 4, 3, 3), torch.ones(1, 3, 3).long(), ignore_id=IGNORE).item() == pytest.approx(
        0.75
    )


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_equals_segmentation_models_pytorch(classes: int) -> None:
    torch.manual_seed(0)
    logits, label = 2 * torch.randn(3, classes, 9, 8), torch.randint(max(classes, 2), (3, 9, 8))
    label[:, 2:4] = IGNORE
    label[1][label[1] == 1] = 0
    pair = torch.cat([torch.zeros_like(logits), logits], 1) if classes == 1 else logits
    expected = LovaszLoss("multiclass", per_image=True, ignore_index=IGNORE)(pair, label)
    loss = LovaszSoftmaxLoss(ignore_id=IGNORE)
    torch.testing.assert_close(loss(logits, label), expected)
    pair.requires_grad_()
    expected = LovaszLoss("multiclass", per_image=True, ignore_index=IGNORE)(pair, label)
    gradients = [torch.autograd.grad(value, pair)[0] for value in (loss(pair, label), expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def test_at_every_vertex_it_is_the_jaccard_loss() -> None:
    """All 2^6 errors of 0 and 1 for all 2^6 truths."""
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)))
    for truth in corners.bool():
        rows = truth.expand(64, 6)
        predicted = rows ^ corners.bool()
        both, either = (predicted & rows).sum(1), (predicted | rows).sum(1)
        jaccard = torch.where(either > 0, 1 - both / either.clamp(min=1), 0.0)
        torch.testing.assert_close(extension(corners, rows), jaccard)


def test_is_convex_and_homogeneous_in_the_errors_and_does_not_care_for_their_order() -> None:
    torch.manual_seed(1)
    one, other = torch.rand(2, 2000, 8, dtype=torch.float64)
    truth, share = torch.rand(2000, 8) < 0.5, torch.rand(2000, 1, dtype=torch.float64)
    ends = share[:, 0] * extension(one, truth) + (1 - share[:, 0]) * extension(other, truth)
    assert (extension(share * one + (1 - share) * other, truth) <= ends + 1e-12).all()
    torch.testing.assert_close(extension(3 * one, truth), 3 * extension(one, truth))
    order = torch.randperm(8)
    torch.testing.assert_close(extension(one[:, order], truth[:, order]), extension(one, truth))
    tied = (3 * one).round()
    torch.testing.assert_close(extension(tied[:, order], truth[:, order]), extension(tied, truth))


def test_weights_are_shares_of_the_valid_pixels() -> None:
    torch.manual_seed(2)
    errors, truth, valid = torch.rand(500, 9), torch.rand(500, 9) < 0.3, torch.rand(500, 9) < 0.8
    valid[:, 0] = True
    truth[:50] = False
    weights = lovasz_weights(errors, truth, valid)
    assert (weights >= 0).all()
    assert (weights[~valid] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(500))
    alone = [lovasz_weights(*(part[i, valid[i]][None] for part in (errors, truth, valid)))[0] for i in range(500)]
    torch.testing.assert_close(weights[valid], torch.cat(alone))


def test_both_ways_to_sort_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    errors, truth = torch.rand(7, 100), torch.rand(7, 100) < 0.5
    expected = lovasz_weights(errors, truth, torch.ones_like(truth))
    monkeypatch.setattr("intarsia.losses._lovasz._order", lambda keys: keys.argsort(dim=1))
    assert torch.equal(lovasz_weights(errors, truth, torch.ones_like(truth)), expected)


def test_many_pixels_keep_their_precision() -> None:
    """In float32 the difference of two Jaccard losses near 1 would have lost three of its seven digits."""
    torch.manual_seed(3)
    errors, truth = torch.rand(1, 200_000), torch.rand(1, 200_000) < 0.01
    precise = lovasz_weights(errors.double(), truth, torch.ones_like(truth))
    torch.testing.assert_close(lovasz_weights(errors, truth, torch.ones_like(truth)).double(), precise, rtol=1e-5, atol=0)


def test_overlapping_classes_are_refused() -> None:
    with pytest.raises(SegmentationError, match=r"shape \(1, 3, 2, 2\), several classes at a pixel.*Use lovasz_hinge"):
        lovasz_softmax_loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2).long(), ignore_id=IGNORE)
