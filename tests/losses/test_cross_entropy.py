import math

import pytest
import torch
from torch.nn import functional as F

from intarsia.core import SegmentationError, SettingsError
from intarsia.losses.cross_entropy import CrossEntropyLoss, cross_entropy_loss

IGNORE = 255


def logits_and_label(classes: int = 4, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 5, 7, generator=generator, dtype=dtype)
    label = torch.randint(0, max(classes, 2), (2, 5, 7), generator=generator)
    label[torch.rand(2, 5, 7, generator=generator) < 0.2] = IGNORE
    return logits, label


def test_value_by_hand_with_weights_and_an_ignored_pixel() -> None:
    # Pixel 0: p = (3/4, 1/4), class 0, weight 1. Pixel 1: p = (1/2, 1/2), class 1, weight 3. Pixel 2 is ignored.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    label = torch.tensor([[[0, 1, IGNORE]]])
    loss = cross_entropy_loss(logits, label, ignore_id=IGNORE, class_weight=torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((1 * math.log(4 / 3) + 3 * math.log(2)) / (1 + 3))


def test_one_logit_is_class_1_against_class_0_by_hand() -> None:
    # sigmoid(log 3) = 3/4: class 1 costs log(4/3), class 0 costs log 4.
    logits = torch.full((1, 1, 1, 2), math.log(3))
    loss = cross_entropy_loss(logits, torch.tensor([[[1, 0]]]), ignore_id=IGNORE)
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_torch(smoothing: float, weighted: bool) -> None:
    logits, label = logits_and_label()
    weight = torch.tensor([0.2, 1.0, 3.0, 0.5]) if weighted else None
    expected = F.cross_entropy(logits, label, weight=weight, ignore_index=IGNORE, label_smoothing=smoothing)
    loss = CrossEntropyLoss(ignore_id=IGNORE, class_weight=weight, smoothing=smoothing)(logits, label)
    torch.testing.assert_close(loss, expected)


def test_one_logit_equals_binary_cross_entropy() -> None:
    logits, label = logits_and_label(classes=1)
    valid = label != IGNORE
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][valid], label[valid].float())
    torch.testing.assert_close(cross_entropy_loss(logits, label, ignore_id=IGNORE), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_logit_is_a_pair_of_which_one_is_zero(smoothing: float, weighted: bool) -> None:
    logits, label = logits_and_label(classes=1)
    weight = torch.tensor([0.3, 2.0]) if weighted else None
    pair = torch.cat([torch.zeros_like(logits), logits], 1)
    single, double = (
        cross_entropy_loss(one, label, ignore_id=IGNORE, class_weight=weight, smoothing=smoothing) for one in (logits, pair)
    )
    torch.testing.assert_close(single, double)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_overlapping_classes_are_binary_cross_entropies_side_by_side(smoothing: float, weighted: bool) -> None:
    logits, _ = logits_and_label()
    label = (torch.rand(logits.shape) < 0.5).long()
    label[0, 2] = IGNORE
    weight = torch.tensor([0.2, 1.0, 3.0, 0.5]) if weighted else None
    each = (torch.ones(4) if weight is None else weight).view(-1, 1, 1).expand_as(logits)[label != IGNORE]
    target = label[label != IGNORE] * (1 - smoothing) + smoothing / 2
    entropy = F.binary_cross_entropy_with_logits(logits[label != IGNORE], target, reduction="none")
    loss = cross_entropy_loss(logits, label, ignore_id=IGNORE, class_weight=weight, smoothing=smoothing)
    torch.testing.assert_close(loss, (each * entropy).sum() / each.sum())


def test_scaling_all_weights_changes_nothing() -> None:
    logits, label = logits_and_label()
    weight = torch.tensor([0.2, 1.0, 3.0, 0.5])
    one, other = (
        cross_entropy_loss(logits, label, ignore_id=IGNORE, class_weight=w, smoothing=0.1) for w in (weight, 7 * weight)
    )
    torch.testing.assert_close(one, other)


def test_perfect_prediction_costs_nothing() -> None:
    _, label = logits_and_label()
    logits = 200.0 * F.one_hot(label.where(label != IGNORE, 0), 4).movedim(-1, 1)
    assert cross_entropy_loss(logits, label, ignore_id=IGNORE).item() == 0


def test_ignored_pixels_have_exactly_no_gradient_and_the_others_have_one() -> None:
    logits, label = logits_and_label()
    logits.requires_grad_()
    cross_entropy_loss(logits, label, ignore_id=IGNORE, smoothing=0.1).backward()
    touched = logits.grad.abs().amax(1) > 0
    assert torch.equal(touched, label != IGNORE)


@pytest.mark.parametrize("classes", [1, 4])
def test_all_ignored_is_zero_with_a_zero_gradient(classes: int) -> None:
    logits, label = logits_and_label(classes)
    logits.requires_grad_()
    weight = torch.ones(max(classes, 2))
    loss = cross_entropy_loss(logits, torch.full_like(label, IGNORE), ignore_id=IGNORE, class_weight=weight)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_classes_of_weight_zero_alone_cost_nothing() -> None:
    logits, label = logits_and_label()
    weight = torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert cross_entropy_loss(logits, torch.zeros_like(label), ignore_id=IGNORE, class_weight=weight).item() == 0


def test_computes_in_float32_under_autocast() -> None:
    logits, label = logits_and_label()
    half = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy_loss(half, label, ignore_id=IGNORE)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, cross_entropy_loss(half.float(), label, ignore_id=IGNORE))


def test_small_integer_labels_are_taken() -> None:
    logits, label = logits_and_label()
    expected = cross_entropy_loss(logits, label, ignore_id=IGNORE)
    assert torch.equal(cross_entropy_loss(logits, label.to(torch.uint8), ignore_id=IGNORE), expected)


@pytest.mark.parametrize("classes", [1, 3])
def test_gradcheck(classes: int) -> None:
    logits, label = logits_and_label(classes, torch.float64)
    weight = torch.rand(max(classes, 2), dtype=torch.float64) + 0.1
    torch.autograd.gradcheck(
        lambda x: cross_entropy_loss(x, label, ignore_id=IGNORE, class_weight=weight, smoothing=0.1), logits.requires_grad_()
    )


def test_moves_its_weights_with_the_module_and_keeps_them_out_of_the_state() -> None:
    loss = CrossEntropyLoss(ignore_id=IGNORE, class_weight=[1.0, 2.0])
    assert loss.to(torch.float64).class_weight.dtype == torch.float64
    assert loss.state_dict() == {}


def test_errors() -> None:
    logits, label = logits_and_label()
    with pytest.raises(SegmentationError, match=r"shape \(2, 4, 5, 7\) and the label \(2, 5, 6\)"):
        cross_entropy_loss(logits, label[..., :6], ignore_id=IGNORE)
    with pytest.raises(SettingsError, match="3 class weights for 4 classes"):
        cross_entropy_loss(logits, label, ignore_id=IGNORE, class_weight=torch.ones(3))
    with pytest.raises(SettingsError, match=r"smoothing is 1\.5"):
        CrossEntropyLoss(ignore_id=IGNORE, smoothing=1.5)
    with pytest.raises(SettingsError, match=r"weights are \[1\.0, -2\.0\]"):
        CrossEntropyLoss(ignore_id=IGNORE, class_weight=[1.0, -2.0])
