import math

import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.losses.cross_entropy import cross_entropy_loss
from intarsia.losses.ohem_cross_entropy import OHEMCrossEntropyLoss, ohem_cross_entropy_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # Class 1 with probabilities 1/2, 1/4, 3/4, 9/10, weights 1 and 5: below 0.7 are the first two; three at least adds the third.
    logits = torch.tensor([0.0, -math.log(3), math.log(3), math.log(9), -50.0]).view(1, 1, 1, 5)
    label = torch.tensor([[[1, 1, 1, 1, IGNORE]]])
    for kept, expected in ((0, math.log(8) / 2), (3, (math.log(8) + math.log(4 / 3)) / 3)):
        loss = ohem_cross_entropy_loss(logits, label, ignore_id=IGNORE, threshold=0.7, min_kept=kept)
        assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("min_kept", [0, 10, 60])
@pytest.mark.parametrize("threshold", [0.2, 0.7])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_a_slow_choice(min_kept: int, threshold: float, weighted: bool) -> None:
    torch.manual_seed(0)
    logits, label = 2 * torch.randn(2, 4, 6, 6), torch.randint(4, (2, 6, 6))
    label[:, 1] = IGNORE
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0]) if weighted else torch.ones(4)
    pixels = []
    for n, y, x in (label != IGNORE).nonzero().tolist():
        k = int(label[n, y, x])
        pixels.append((logits[n, :, y, x].softmax(0)[k].item(), weight[k].item()))
    pixels.sort()
    kept = [pixel for place, pixel in enumerate(pixels) if place < min_kept or pixel[0] <= threshold]
    expected = sum(w * -math.log(p) for p, w in kept) / sum(w for _, w in kept)
    loss = OHEMCrossEntropyLoss(
        ignore_id=IGNORE, class_weight=weight if weighted else None, threshold=threshold, min_kept=min_kept
    )
    assert loss(logits, label).item() == pytest.approx(expected, rel=1e-5)


def test_the_rule_of_the_original_where_it_keeps_some() -> None:
    """p < max(threshold, p[min_kept] of the sorted p): with the next larger one as bound, as many and the same."""
    torch.manual_seed(1)
    logits, label = 3 * torch.randn(2, 3, 8, 8), torch.randint(3, (2, 8, 8))
    prob = logits.softmax(1).gather(1, label[:, None])[:, 0]
    for threshold, min_kept in ((0.7, 20), (0.01, 50)):
        bound = max(prob.flatten().sort().values[min_kept].item(), threshold)
        original = -prob[prob < bound].log().mean()
        loss = ohem_cross_entropy_loss(logits, label, ignore_id=IGNORE, threshold=threshold, min_kept=min_kept)
        torch.testing.assert_close(loss, original)


def test_equal_pixels_are_all_kept_or_all_left() -> None:
    logits, label = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4), torch.zeros(1, 4, 4).long()
    kept = ohem_cross_entropy_loss(logits, label, ignore_id=IGNORE, min_kept=1)
    torch.testing.assert_close(kept, cross_entropy_loss(logits, label, ignore_id=IGNORE))
    assert ohem_cross_entropy_loss(logits, label, ignore_id=IGNORE, min_kept=0).item() == 0


def test_easy_pixels_have_no_gradient() -> None:
    label = torch.randint(2, (1, 8, 8))
    hard = torch.rand(1, 8, 8) < 0.3
    logits = (5.0 * F.one_hot(torch.where(hard, 1 - label, label), 2).movedim(-1, 1)).requires_grad_()
    ohem_cross_entropy_loss(logits, label, ignore_id=IGNORE, min_kept=0).backward()
    assert torch.equal(logits.grad.abs().sum(1) > 0, hard)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"threshold of hard pixels is 0\.0"):
        OHEMCrossEntropyLoss(ignore_id=IGNORE, threshold=0.0)
    with pytest.raises(SettingsError, match="keep at least are -1"):
        OHEMCrossEntropyLoss(ignore_id=IGNORE, min_kept=-1)
    with pytest.raises(SettingsError, match="3 class weights for 2 classes"):
        ohem_cross_entropy_loss(
            torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1).long(), ignore_id=IGNORE, class_weight=torch.ones(3)
        )
