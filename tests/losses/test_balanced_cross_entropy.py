import math

import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.losses.balanced_cross_entropy import BalancedCrossEntropyLoss, balanced_cross_entropy_loss

IGNORE = 255


def test_given_beta_by_hand() -> None:
    # sigmoid(log 3) = 3/4. Pixel 0 is of class 1 and costs beta log(4/3), pixel 1 is not and costs (1 - beta) log 4.
    logits = torch.full((1, 1, 1, 3), math.log(3))
    loss = balanced_cross_entropy_loss(logits, torch.tensor([[[1, 0, IGNORE]]]), ignore_id=IGNORE, beta=0.9)
    assert loss.item() == pytest.approx((0.9 * math.log(4 / 3) + 0.1 * math.log(4)) / 2)


def test_by_image_by_hand() -> None:
    # Image 0: one pixel of class 1 at 3/4, three of class 0 at 1/4. Image 1: class 0 alone, at 1/4.
    logits = torch.full((2, 1, 1, 4), math.log(3))
    label = torch.tensor([[[1, 0, 0, 0]], [[0, 0, IGNORE, IGNORE]]])
    loss = balanced_cross_entropy_loss(logits, label, ignore_id=IGNORE)
    assert loss.item() == pytest.approx(((math.log(4 / 3) + math.log(4)) / 2 + math.log(4)) / 2)


def test_by_image_is_the_sum_of_the_paper_with_its_beta_and_another_factor() -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(1, 1, 8, 8), (torch.rand(1, 8, 8) < 0.1).long()
    beta = (label == 0).float().mean().item()
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0], label.float(), reduction="none")
    paper = (torch.where(label == 1, beta, 1 - beta) * entropy).sum().item()
    loss = balanced_cross_entropy_loss(logits, label, ignore_id=IGNORE).item()
    assert loss == pytest.approx(paper / (2 * beta * (1 - beta) * 64), rel=1e-5)


def test_several_classes_equal_a_slow_loop() -> None:
    torch.manual_seed(1)
    logits, label = torch.randn(3, 4, 6, 7), torch.randint(4, (3, 6, 7))
    label[1][label[1] == 2] = 0
    label[:, 0] = IGNORE
    images = []
    for scores, truth in zip(logits.log_softmax(1), label, strict=True):
        kinds = [k for k in range(4) if (truth == k).any()]
        images.append(sum(-scores[k][truth == k].mean().item() for k in kinds) / len(kinds))
    assert BalancedCrossEntropyLoss(ignore_id=IGNORE)(logits, label).item() == pytest.approx(sum(images) / 3, rel=1e-5)


def test_overlapping_classes_are_single_logits_side_by_side() -> None:
    torch.manual_seed(2)
    logits, label = torch.randn(2, 3, 5, 5), torch.randint(2, (2, 3, 5, 5))
    for beta in (None, 0.3):
        apart = [balanced_cross_entropy_loss(logits[:, [k]], label[:, k], ignore_id=IGNORE, beta=beta) for k in range(3)]
        torch.testing.assert_close(
            balanced_cross_entropy_loss(logits, label, ignore_id=IGNORE, beta=beta), torch.stack(apart).mean()
        )


def test_repeating_the_background_changes_nothing() -> None:
    logits, label = torch.randn(1, 1, 1, 4), torch.tensor([[[1, 0, 0, 1]]])
    wide = torch.cat([logits, logits[..., 1:3].repeat(1, 1, 1, 9)], -1)
    more = torch.cat([label, label[..., 1:3].repeat(1, 1, 9)], -1)
    torch.testing.assert_close(
        balanced_cross_entropy_loss(wide, more, ignore_id=IGNORE), balanced_cross_entropy_loss(logits, label, ignore_id=IGNORE)
    )


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"beta of balanced cross-entropy is 1\.0"):
        BalancedCrossEntropyLoss(ignore_id=IGNORE, beta=1.0)
    with pytest.raises(SettingsError, match=r"beta = 0\.5 weighs class 1 against class 0, and there are 3 classes"):
        balanced_cross_entropy_loss(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2).long(), ignore_id=IGNORE, beta=0.5)
