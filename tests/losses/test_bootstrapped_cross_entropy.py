import math

import pytest
import torch

from intarsia.core import SettingsError
from intarsia.losses.bootstrapped_cross_entropy import BootstrappedCrossEntropyLoss, bootstrapped_cross_entropy_loss
from intarsia.losses.cross_entropy import cross_entropy_loss

IGNORE = 255


def test_value_by_hand() -> None:
    # Class 1 with probabilities 1/2, 1/4, 3/4: the worst two cost log 2 and log 4. The ignored one would be the worst of all.
    logits = torch.tensor([0.0, -math.log(3), math.log(3), -50.0]).view(1, 1, 1, 4)
    loss = bootstrapped_cross_entropy_loss(logits, torch.tensor([[[1, 1, 1, IGNORE]]]), ignore_id=IGNORE, pixels=2)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize("kind", ["single", "exclusive", "overlapping"])
@pytest.mark.parametrize("pixels", [1, 7, 25, 1000])
def test_equals_a_slow_loop(kind: str, pixels: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 1 if kind == "single" else 4, 5, 6)
    label = torch.randint(4 if kind == "exclusive" else 2, logits.shape if kind == "overlapping" else (3, 5, 6))
    label[0, ..., :2, :] = IGNORE
    label[2] = IGNORE
    images = []
    for n in range(2):
        if kind == "exclusive":
            costs = [-logits[n].log_softmax(0)[int(label[n, y, x]), y, x] for y, x in (label[n] != IGNORE).nonzero().tolist()]
        else:
            scores, truth = logits[n].flatten(), label[n].flatten()
            costs = [-(s if t == 1 else -s).sigmoid().log() for s, t in zip(scores, truth, strict=True) if t != IGNORE]
        worst = sorted((cost.item() for cost in costs), reverse=True)[:pixels]
        images.append(sum(worst) / len(worst))
    loss = BootstrappedCrossEntropyLoss(ignore_id=IGNORE, pixels=pixels)(logits, label)
    assert loss.item() == pytest.approx(sum(images) / 2, rel=1e-5)


def test_all_pixels_are_cross_entropy_and_fewer_are_more() -> None:
    torch.manual_seed(1)
    logits, label = torch.randn(2, 3, 6, 6), torch.randint(3, (2, 6, 6))
    values = [bootstrapped_cross_entropy_loss(logits, label, ignore_id=IGNORE, pixels=n).item() for n in (36, 20, 5, 1)]
    assert values[0] == pytest.approx(cross_entropy_loss(logits, label, ignore_id=IGNORE).item())
    assert values == sorted(values)


def test_only_the_worst_have_a_gradient() -> None:
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    bootstrapped_cross_entropy_loss(logits, torch.randint(3, (2, 6, 6)), ignore_id=IGNORE, pixels=5).backward()
    assert (logits.grad.abs().sum(1) > 0).sum((1, 2)).tolist() == [5, 5]


def test_errors() -> None:
    with pytest.raises(SettingsError, match="count in each image are 0"):
        BootstrappedCrossEntropyLoss(ignore_id=IGNORE, pixels=0)
