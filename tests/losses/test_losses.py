"""The catalogue of losses; every loss is asked what all must hold, without a line of code for it."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from intarsia.core import SegmentationError, SettingsError, UnknownNameError
from intarsia.losses import (
    LOSSES,
    TARGET_LOSSES,
    counts_classes_alike,
    create_loss,
    is_object_loss,
    loss_targets,
    object_loss,
    takes_class_weight,
    target_loss,
)

IGNORE = 255
LABEL_LOSSES = [name for name in LOSSES.names if name not in TARGET_LOSSES.values() and not is_object_loss(name)]
KINDS = ["single", "exclusive", "overlapping"]
CASES = [(name, kind) for name in LABEL_LOSSES for kind in KINDS if (name, kind) != ("lovasz_softmax", "overlapping")]
every_case = pytest.mark.parametrize(("name", "kind"), CASES)


def sample(kind: str, size: int = 6, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits (2, K, size, size), and a label that ignores a few pixels, all classes of some among them."""
    generator = torch.Generator().manual_seed(0)
    classes = 1 if kind == "single" else 3
    logits = torch.randn(2, classes, size, size, generator=generator, dtype=dtype)
    shape = logits.shape if kind == "overlapping" else (2, size, size)
    label = torch.randint(0, 3 if kind == "exclusive" else 2, shape, generator=generator)
    label[..., 0] = IGNORE
    return logits, label


def ready(name: str, label: Tensor, ignore_id: int = IGNORE) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss called `name` with its settings by default, given the targets that it asks for."""
    loss = create_loss(name, ignore_id=ignore_id)
    size = (len(label), *label.shape[-2:])
    weights = torch.rand(size, generator=torch.Generator().manual_seed(1)) if loss_targets(loss) else None
    return loss if weights is None else lambda logits, label: loss(logits, label, border_weights=weights)


@every_case
def test_every_loss_falls_on_the_way_to_the_truth(name: str, kind: str) -> None:
    zeros, label = sample(kind)
    logits = nn.Parameter(torch.zeros_like(zeros))
    loss = ready(name, label)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    values = []
    for _ in range(40):
        value = loss(logits, label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.1 * values[0]
    decided = logits.argmax(1) if kind == "exclusive" else (logits > 0).long().view(label.shape)
    assert torch.equal(decided[label != IGNORE], label[label != IGNORE])
    assert torch.equal(logits[..., 0], torch.zeros_like(logits[..., 0]))


@every_case
def test_a_perfect_prediction_costs_nothing(name: str, kind: str) -> None:
    _, label = sample(kind)
    known = label.where(label != IGNORE, 0)
    truth = nn.functional.one_hot(known, 3).movedim(-1, 1) if kind == "exclusive" else known.view(2, -1, 6, 6)
    assert ready(name, label)(400.0 * truth - 200.0, label).item() == 0


@every_case
def test_no_gradient_where_the_truth_is_ignored_whatever_the_logits_are(name: str, kind: str) -> None:
    logits, label = sample(kind)
    loss = ready(name, label)
    value = loss(logits, label)
    logits[..., 0] *= 1000
    logits.requires_grad_()
    again = loss(logits, label)
    again.backward()
    assert torch.equal(again, value)
    assert torch.equal(logits.grad[..., 0], torch.zeros_like(logits[..., 0]))
    assert logits.grad.abs().sum() > 0


@every_case
def test_every_loss_without_a_valid_pixel_is_zero(name: str, kind: str) -> None:
    logits, label = sample(kind)
    logits.requires_grad_()
    loss = ready(name, label)(logits, torch.full_like(label, IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@every_case
@pytest.mark.parametrize("empty", [(slice(0), slice(None)), (slice(None), slice(0))], ids=["no image", "no pixel"])
def test_every_loss_of_nothing_is_zero(name: str, kind: str, empty: tuple[slice, slice]) -> None:
    logits, label = (part[empty[0]][..., empty[1]] for part in sample(kind))
    logits.requires_grad_()
    loss = ready(name, label)(logits, label)
    loss.backward()
    assert loss.item() == 0


@every_case
def test_one_image_without_truth_changes_nothing(name: str, kind: str) -> None:
    """An image that is wholly ignored, beside one that is not: as if it were not there."""
    logits, label = sample(kind)
    label[1] = IGNORE
    loss = ready(name, label)(logits, label)
    assert torch.isclose(loss, ready(name, label[:1])(logits[:1], label[:1]))


@every_case
def test_every_loss_computes_in_float32(name: str, kind: str) -> None:
    logits, label = sample(kind)
    for dtype in (torch.bfloat16, torch.float16):
        half = logits.to(dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = ready(name, label)(half, label)
        assert loss.dtype == torch.float32
        assert torch.equal(loss, ready(name, label)(half.float(), label))


@every_case
def test_no_loss_overflows_in_half_precision(name: str, kind: str) -> None:
    """The largest numbers of 16 bits, right, wrong and at random, the last of them all alike."""
    logits, label = sample(kind, 12)
    for signs in (logits.sign(), -logits.sign(), torch.ones_like(logits)):
        for dtype in (torch.float16, torch.bfloat16):
            huge = (6e4 * signs).to(dtype).requires_grad_()
            loss = ready(name, label)(huge, label)
            loss.backward()
            assert loss.isfinite()
            assert huge.grad.isfinite().all()


@every_case
def test_gradcheck(name: str, kind: str) -> None:
    logits, label = sample(kind, 3, torch.float64)
    loss = ready(name, label)
    torch.autograd.gradcheck(lambda x: loss(x, label), logits.requires_grad_())


@every_case
def test_labels_of_other_dtypes_are_taken(name: str, kind: str) -> None:
    logits, label = sample(kind)
    expected = ready(name, label)(logits, label)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(ready(name, label)(logits, label.to(dtype)), expected)
    if kind != "exclusive":
        known = label == 1
        assert torch.equal(ready(name, label)(logits, known), ready(name, label)(logits, known.long()))


@every_case
def test_any_id_can_be_the_one_to_ignore(name: str, kind: str) -> None:
    logits, label = sample(kind)
    expected = ready(name, label)(logits, label)
    for other in (-100, 3, 65535):
        assert torch.equal(ready(name, label, other)(logits, label.where(label != IGNORE, other)), expected)


@every_case
@pytest.mark.parametrize("value", [-1, 7, 300])
def test_labels_that_are_no_class_are_refused_with_their_values(name: str, kind: str, value: int) -> None:
    logits, label = sample(kind)
    label[1, ..., 2, 3] = value
    share = 1 / 72
    highest = 2 if kind == "exclusive" else 1
    with pytest.raises(
        SegmentationError, match=rf"holds \[{value}\] in {share:.2%} of .* ids 0\.\.{highest} and not the ignore id 255"
    ):
        ready(name, label)(logits, label)


@every_case
def test_where_labels_cannot_be_read_at_once_they_make_the_loss_nan(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: reading them there would make each step wait."""
    monkeypatch.setattr("intarsia.losses._prepare._can_be_read", lambda values: False)
    logits, label = sample(kind)
    half = logits.bfloat16()
    expected = ready(name, label)(half.float(), label)
    assert torch.equal(ready(name, label)(half, label), expected)
    label[1, ..., 2, 3] = 7
    assert ready(name, label)(half, label).isnan()


@every_case
def test_shapes_that_do_not_fit_are_refused(name: str, kind: str) -> None:
    logits, label = sample(kind)
    with pytest.raises(
        SegmentationError, match=r"logits have shape \(2, [13], 6, 6\) and the label \(2, .*5\); .*Resize the logits"
    ):
        ready(name, label)(logits, label[..., :5])


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
    with pytest.raises(SettingsError, match="no loss for the target 'presense'; known: presence, touching_borders"):
        target_loss("presense")
    with pytest.raises(SettingsError, match="'class_presence' trains an auxiliary head"):
        create_loss("class_presence", ignore_id=IGNORE)


def test_losses_of_objects_are_another_kind() -> None:
    assert not is_object_loss("dice")
    with pytest.raises(SettingsError, match=r"'dice' learns from label maps; networks that find objects have their own"):
        object_loss("dice")
    with pytest.raises(UnknownNameError, match=r"no loss called 'disce'"):
        object_loss("disce")


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"'cross_entropy' has no option 'smooting'\. Did you mean 'smoothing'\?"):
        create_loss("cross_entropy", ignore_id=IGNORE, smooting=0.1)
    with pytest.raises(SettingsError, match=r"'lovasz_hinge' has no option 'smoothing'\. Its options: none"):
        create_loss("lovasz_hinge", ignore_id=IGNORE, smoothing=0.1)
    with pytest.raises(
        SettingsError, match=r"'dice' takes no class weights, and 2 were given.* cross_entropy, cross_entropy_dice, focal, "
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
    loss = ready(name, label)
    gap = (loss(sure, label) - loss(right, label)).item()
    assert (gap > 0.3) == counts_classes_alike(name)
