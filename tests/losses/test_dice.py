import math

import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss as TheirDiceLoss
from torch.nn import functional as F

from intarsia.core import SegmentationError
from intarsia.losses.dice import DiceLoss, dice_loss

IGNORE = 255


def logits_and_label(classes: int = 3, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, classes, 4, 6, generator=generator, dtype=dtype)
    label = torch.randint(0, max(classes, 2), (2, 4, 6), generator=generator)
    label[torch.rand(2, 4, 6, generator=generator) < 0.2] = IGNORE
    return logits, label


def test_value_by_hand() -> None:
    # p = (3/4, 1/4) for pixel 0 of class 0, p = (1/2, 1/2) for pixel 1 of class 1; pixel 2 is ignored.
    # dice[0] = 2 * 3/4 / (5/4 + 1) = 2/3, dice[1] = 2 * 1/2 / (3/4 + 1) = 4/7.
    logits = torch.tensor([[[[math.log(3), 0.0, 9.0]], [[0.0, 0.0, -9.0]]]])
    loss = dice_loss(logits, torch.tensor([[[0, 1, IGNORE]]]), ignore_id=IGNORE)
    assert loss.item() == pytest.approx(1 - (2 / 3 + 4 / 7) / 2)


def test_a_class_that_the_truth_lacks_is_left_out_of_the_mean_by_hand() -> None:
    # Three classes at p = 1/3 each, one pixel of class 0: dice[0] = 2 * 1/3 / (1/3 + 1) = 1/2.
    loss = dice_loss(torch.zeros(1, 3, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long), ignore_id=IGNORE)
    assert loss.item() == pytest.approx(1 / 2)


@pytest.mark.parametrize("classes", [1, 3])
def test_equals_a_slow_loop(classes: int) -> None:
    logits, label = logits_and_label(classes)
    prob = torch.cat([1 - logits.sigmoid(), logits.sigmoid()], 1) if classes == 1 else logits.softmax(1)
    scores = []
    for k in range(max(classes, 2)):
        overlap = predicted = truth = 0.0
        for n, y, x in (label != IGNORE).nonzero().tolist():
            is_class = int(label[n, y, x] == k)
            overlap += prob[n, k, y, x].item() * is_class
            predicted += prob[n, k, y, x].item()
            truth += is_class
        scores.append(2 * overlap / (predicted + truth))
    assert DiceLoss(ignore_id=IGNORE)(logits, label).item() == pytest.approx(1 - sum(scores) / len(scores), rel=1e-5)


@pytest.mark.parametrize("mode", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_equals_segmentation_models_pytorch(mode: str, smooth: float) -> None:
    logits, label = logits_and_label(1 if mode == "binary" else 3)
    if mode != "multiclass":
        label = torch.randint(2, logits.shape, generator=torch.Generator().manual_seed(2))
        label[..., 2, :] = IGNORE
    expected = TheirDiceLoss(mode, smooth=smooth / 2, ignore_index=IGNORE)(logits, label)  # theirs counts twice
    torch.testing.assert_close(DiceLoss(ignore_id=IGNORE, smooth=smooth)(logits, label), expected)


def test_a_rare_background_keeps_its_precision() -> None:
    """Three pixels of class 0 among a million, with one logit: their overlap is no difference of large sums."""
    logits = torch.full((1, 1, 1000, 1000), 12.0)
    label = torch.ones(1, 1000, 1000, dtype=torch.int64)
    logits[..., 0, :3], label[:, 0, :3] = -1.0, 0
    single, double = (dice_loss(one, label, ignore_id=IGNORE) for one in (logits, logits.double()))
    assert single.item() == pytest.approx(double.item(), rel=1e-4)


def test_pools_over_the_batch() -> None:
    logits, label = logits_and_label()
    tiled = dice_loss(torch.cat([*logits], -1)[None], torch.cat([*label], -1)[None], ignore_id=IGNORE)
    torch.testing.assert_close(dice_loss(logits, label, ignore_id=IGNORE), tiled)


def test_range_from_perfect_to_hopeless() -> None:
    _, label = logits_and_label()
    perfect = 200.0 * F.one_hot(label.where(label != IGNORE, 0), 3).movedim(-1, 1)
    assert dice_loss(perfect, label, ignore_id=IGNORE).item() == 0
    assert dice_loss(perfect.roll(1, 1), label, ignore_id=IGNORE).item() == 1


def test_ignored_pixels_have_exactly_no_gradient_and_the_others_have_one() -> None:
    logits, label = logits_and_label()
    logits.requires_grad_()
    dice_loss(logits, label, ignore_id=IGNORE).backward()
    assert torch.equal(logits.grad.abs().amax(1) > 0, label != IGNORE)


@pytest.mark.parametrize("classes", [1, 3])
def test_all_ignored_is_zero_with_a_zero_gradient(classes: int) -> None:
    logits, label = logits_and_label(classes)
    logits.requires_grad_()
    loss = dice_loss(logits, torch.full_like(label, IGNORE), ignore_id=IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_an_absent_class_with_no_probability_leaves_a_finite_gradient() -> None:
    logits = torch.tensor([0.0, 0.0, -300.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2).clone().requires_grad_()
    dice_loss(logits, torch.tensor([[[0, 1], [1, 0]]]), ignore_id=IGNORE).backward()
    assert logits.grad.isfinite().all()


def test_computes_in_float32_under_autocast() -> None:
    logits, label = logits_and_label()
    half = logits.half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = dice_loss(half, label, ignore_id=IGNORE)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, dice_loss(half.float(), label, ignore_id=IGNORE))


@pytest.mark.parametrize("classes", [1, 3])
def test_gradcheck(classes: int) -> None:
    logits, label = logits_and_label(classes, torch.float64)
    torch.autograd.gradcheck(lambda x: dice_loss(x, label, ignore_id=IGNORE), logits.requires_grad_())


def test_errors() -> None:
    with pytest.raises(SegmentationError, match=r"shape \(2, 3, 4, 6\) and the label \(1, 4, 6\)"):
        dice_loss(torch.zeros(2, 3, 4, 6), torch.zeros(1, 4, 6, dtype=torch.long), ignore_id=IGNORE)
