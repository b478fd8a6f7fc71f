import math

import numpy as np
import pytest
import torch

from intarsia.core import ClassSpace, LabelMap, SegmentationError, SettingsError
from intarsia.data.targets import make_targets
from intarsia.losses import create_loss, loss_targets
from intarsia.losses.border_weighted_cross_entropy import BorderWeightedCrossEntropyLoss, border_weighted_cross_entropy_loss
from intarsia.losses.cross_entropy import cross_entropy_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # Pixel 0: class 0 at 3/4, weight 1 + 2. Pixel 1: class 1 at 1/2, weight 4 + 0. Pixel 2 is ignored and divides nothing.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    label, border = torch.tensor([[[0, 1, IGNORE]]]), torch.tensor([[[2.0, 0.0, 50.0]]])
    loss = border_weighted_cross_entropy_loss(logits, label, border, ignore_id=IGNORE, class_weight=torch.tensor([1.0, 4.0]))
    assert loss.item() == pytest.approx((3 * math.log(4 / 3) + 4 * math.log(2)) / 2)


@pytest.mark.parametrize("classes", [1, 3])
def test_equals_a_slow_loop(classes: int) -> None:
    torch.manual_seed(0)
    logits, label = torch.randn(2, classes, 4, 5), torch.randint(max(2, classes), (2, 4, 5))
    label[0, 0] = IGNORE
    border, weight = torch.rand(2, 4, 5) * 10, torch.rand(max(2, classes))
    prob = torch.cat([1 - logits.sigmoid(), logits.sigmoid()], 1) if classes == 1 else logits.softmax(1)
    costs = []
    for n, y, x in (label != IGNORE).nonzero().tolist():
        k = int(label[n, y, x])
        costs.append((weight[k] + border[n, y, x]).item() * -math.log(prob[n, k, y, x].item()))
    loss = BorderWeightedCrossEntropyLoss(ignore_id=IGNORE, class_weight=weight)(logits, label, border)
    assert loss.item() == pytest.approx(sum(costs) / len(costs), rel=1e-5)


def test_without_weights_it_is_cross_entropy() -> None:
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    loss = border_weighted_cross_entropy_loss(logits, label, torch.zeros(2, 4, 4), ignore_id=IGNORE)
    torch.testing.assert_close(loss, cross_entropy_loss(logits, label, ignore_id=IGNORE))


def test_overlapping_classes_share_the_border() -> None:
    logits, label, border = torch.randn(1, 2, 3, 3), torch.randint(2, (1, 2, 3, 3)), torch.rand(1, 3, 3)
    apart = [border_weighted_cross_entropy_loss(logits[:, [k]], label[:, k], border, ignore_id=IGNORE) for k in range(2)]
    both = border_weighted_cross_entropy_loss(logits, label, border, ignore_id=IGNORE)
    torch.testing.assert_close(both, torch.stack(apart).mean())


def test_a_wrong_pixel_in_a_gap_costs_more_than_one_in_the_open() -> None:
    """From a mask of two cells to the loss, by the names that a training goes by."""
    ids = np.zeros((16, 40), np.uint8)
    ids[4:12, 4:12] = ids[4:12, 14:22] = 1
    truth = LabelMap(ids, ClassSpace.from_names(["background", "cell"]))
    loss = create_loss("border_weighted_cross_entropy", ignore_id=IGNORE, class_weight=[1.0, 1.0])
    targets = {name: torch.from_numpy(array)[None] for name, array in make_targets(loss_targets(loss), truth).items()}
    label = torch.from_numpy(ids.astype(np.int64))[None]
    right = 20.0 * torch.nn.functional.one_hot(label, 2).movedim(-1, 1)
    costs = {}
    for where, x in {"gap": 12, "open": 34}.items():
        wrong = right.clone()
        wrong[:, :, 8, x] = wrong[:, :, 8, x].flip(1)
        costs[where] = loss(wrong, label, **targets).item()
    # In the gap of two pixels the distances are 1 and 2.
    assert costs["gap"] / costs["open"] == pytest.approx(1 + 10 * math.exp(-9 / 50), rel=1e-4)


def test_errors() -> None:
    logits, label = torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3).long()
    with pytest.raises(SegmentationError, match=r"border weights have shape \(1, 3, 2\); \(1, 3, 3\), one for each pixel, fits"):
        border_weighted_cross_entropy_loss(logits, label, torch.zeros(1, 3, 2), ignore_id=IGNORE)
    with pytest.raises(SettingsError, match="3 class weights for 2 classes"):
        border_weighted_cross_entropy_loss(logits, label, torch.zeros(1, 3, 3), ignore_id=IGNORE, class_weight=torch.ones(3))
