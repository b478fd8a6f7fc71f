"""The catalogue of losses; every loss is asked what all must hold, without a line of code for it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from intarsia.core import SettingsError, UnknownNameError
from intarsia.losses import (
    LOSSES,
    TARGET_LOSSES,
    counts_classes_alike,
    create_loss,
    loss_targets,
    takes_class_weight,
    target_loss,
)

IGNORE = 255
LABEL_LOSSES = [name for name in LOSSES.names if name not in TARGET_LOSSES.values()]


@pytest.mark.parametrize("name", LABEL_LOSSES)
@pytest.mark.parametrize("classes", [1, 3])
def test_every_loss_falls_on_the_way_to_the_truth(name: str, classes: int) -> None:
    label = torch.randint(0, max(classes, 2), (2, 6, 6), generator=torch.Generator().manual_seed(0))
    label[0, 0] = IGNORE
    logits = nn.Parameter(torch.zeros(2, classes, 6, 6))
    loss = create_loss(name, ignore_id=IGNORE)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    values = []
    for _ in range(40):
        value = loss(logits, label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.1 * values[0]
    decided = logits.argmax(1) if classes > 1 else (logits[:, 0] > 0).long()
    assert torch.equal(decided[label != IGNORE], label[label != IGNORE])
    assert torch.equal(logits[0, :, 0], torch.zeros(classes, 6))


@pytest.mark.parametrize("name", LABEL_LOSSES)
def test_every_loss_without_a_valid_pixel_is_zero(name: str) -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = create_loss(name, ignore_id=IGNORE)(logits, torch.full((1, 3, 3), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_options_and_weights_reach_the_loss() -> None:
    loss = create_loss("cross_entropy", ignore_id=IGNORE, class_weight=[1, 2], smoothing=0.25)
    assert loss.smoothing == 0.25
    assert loss.class_weight.tolist() == [1, 2]
    assert takes_class_weight("cross_entropy")
    assert not takes_class_weight("dice")


def test_a_sum_is_the_sum() -> None:
    logits, label = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    parts = {"cross_entropy": 1.0, "dice": 0.5}
    both = create_loss(parts, ignore_id=IGNORE, class_weight=[1, 2, 3], cross_entropy={"smoothing": 0.1})
    entropy = create_loss("cross_entropy", ignore_id=IGNORE, class_weight=[1, 2, 3], smoothing=0.1)(logits, label)
    assert both(logits, label).item() == pytest.approx(
        (entropy + 0.5 * create_loss("dice", ignore_id=IGNORE)(logits, label)).item()
    )
    assert takes_class_weight(parts)
    assert counts_classes_alike(parts)
    assert not counts_classes_alike({"cross_entropy": 1.0})
    with pytest.raises(SettingsError, match="sum of dice, and options were given for 'smoothing'"):
        create_loss({"dice": 1.0}, ignore_id=IGNORE, smoothing=0.1)
    with pytest.raises(SettingsError, match="None of the losses dice takes class weights, and 2 were given"):
        create_loss({"dice": 1.0}, ignore_id=IGNORE, class_weight=[1.0, 2.0])


def test_losses_of_other_targets() -> None:
    for target in TARGET_LOSSES:
        assert isinstance(target_loss(target), nn.Module)
    assert loss_targets(create_loss("dice", ignore_id=IGNORE)) == ()
    with pytest.raises(SettingsError, match="no loss for the target 'presense'; known: presence"):
        target_loss("presense")
    with pytest.raises(SettingsError, match="'class_presence' trains an auxiliary head"):
        create_loss("class_presence", ignore_id=IGNORE)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"'cross_entropy' has no option 'smooting'\. Did you mean 'smoothing'\?"):
        create_loss("cross_entropy", ignore_id=IGNORE, smooting=0.1)
    with pytest.raises(SettingsError, match=r"'dice' has no option 'smoothing'\. Its options: none"):
        create_loss("dice", ignore_id=IGNORE, smoothing=0.1)
    with pytest.raises(
        SettingsError, match=r"'dice' takes no class weights, and 2 were given.* cross_entropy, cross_entropy_dice"
    ):
        create_loss("dice", ignore_id=IGNORE, class_weight=[1.0, 2.0])
    with pytest.raises(UnknownNameError, match=r"no loss called 'cross-entropi'\. Did you mean 'cross_entropy'"):
        create_loss("cross-entropi", ignore_id=IGNORE)


def test_the_catalogue_needs_no_torch() -> None:
    code = "import sys; from intarsia.losses import LOSSES; LOSSES.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", LABEL_LOSSES)
def test_a_loss_that_counts_classes_alike_does_not_forget_a_rare_class(name: str) -> None:
    """One pixel of 100 is rare and wrong: a share of the classes for such a loss, a share of the pixels for another."""
    label = torch.zeros(1, 10, 10, dtype=torch.int64)
    label[0, 0, 0] = 1
    sure = torch.tensor([8.0, -8.0])[None, :, None, None].expand(1, 2, 10, 10).clone()
    right = sure.clone()
    right[:, :, 0, 0] = torch.tensor([-8.0, 8.0])
    loss = create_loss(name, ignore_id=IGNORE)
    gap = (loss(sure, label) - loss(right, label)).item()
    assert (gap > 0.3) == counts_classes_alike(name)
