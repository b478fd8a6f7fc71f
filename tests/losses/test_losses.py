"""The catalogue of losses; every loss is asked what all must hold, without a line of code for it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from intarsia.core import SettingsError, UnknownNameError
from intarsia.losses import LOSSES, counts_classes_alike, create_loss, takes_class_weight

IGNORE = 255


@pytest.mark.parametrize("name", LOSSES.names)
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


@pytest.mark.parametrize("name", LOSSES.names)
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


@pytest.mark.parametrize("name", LOSSES.names)
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
