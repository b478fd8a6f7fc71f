import math

import pytest
import torch

from intarsia.core import Output, SegmentationError, SettingsError
from intarsia.losses.boundary_aware import boundary_aware_loss
from intarsia.losses.objects_and_borders import objects_and_borders_loss


def test_value_by_hand() -> None:
    # Objects: p = 3/4 at a pixel that is one and at one that is not. Borders: none there, p = 1/2 at both.
    logits = torch.tensor([[math.log(3), math.log(3)], [0.0, 0.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[1, 0], [0, 0]], dtype=torch.uint8).view(1, 2, 1, 2)
    terms = objects_and_borders_loss(Output(logits), {"touching_borders": target})
    overlap = 1 - 0.75 / (1.5 + 1 - 0.75)
    assert terms["objects"].item() == pytest.approx((0.7 * (math.log(4 / 3) + math.log(4)) / 2 + 0.3 * overlap) / 2)
    assert terms["borders"].item() == pytest.approx(0.7 * math.log(2) / 2)


def test_one_class_is_the_boundary_aware_loss_and_more_share_the_weight_of_one() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 2, 5, 6), torch.randint(2, (2, 2, 5, 6))
    target[:, :, 0] = 255
    terms = objects_and_borders_loss(Output(logits), {"touching_borders": target}, balance=0.4)
    torch.testing.assert_close(terms["objects"] + terms["borders"], boundary_aware_loss(logits, target, balance=0.4))
    again = [0, 0, 0, 1]
    many = objects_and_borders_loss(Output(logits[:, again]), {"touching_borders": target[:, again]}, balance=0.4)
    torch.testing.assert_close(many, terms)


def test_nothing_known_and_nothing_there() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    terms = objects_and_borders_loss(Output(logits), {"touching_borders": torch.full((1, 3, 4, 4), 255)})
    assert [term.item() for term in terms.values()] == [0, 0]
    empty = objects_and_borders_loss(Output(logits), {"touching_borders": torch.zeros(1, 3, 4, 4, dtype=torch.long)})
    sum(empty.values()).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.all()


def test_gradcheck() -> None:
    torch.manual_seed(1)
    target = torch.randint(2, (1, 3, 3, 3))
    target[0, :, 0, 0] = 255
    logits = torch.randn(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda x: tuple(objects_and_borders_loss(Output(x), {"touching_borders": target}).values()), logits)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"balance of the loss objects_and_borders is -1"):
        objects_and_borders_loss(Output(torch.zeros(1, 2, 2, 2)), {}, balance=-1)
    with pytest.raises(SegmentationError, match=r"shape \(1, 2, 2, 2\) and the target \(1, 3, 2, 2\)"):
        objects_and_borders_loss(Output(torch.zeros(1, 2, 2, 2)), {"touching_borders": torch.zeros(1, 3, 2, 2)})
