import math

import pytest
import torch

from intarsia.core import Output, SegmentationError
from intarsia.losses.region_classes import region_classes_loss


def loss(logits: torch.Tensor, label: list[int]) -> torch.Tensor:
    terms = region_classes_loss(Output(logits, parts={"label": torch.tensor(label, dtype=torch.int64)}), {})
    assert list(terms) == ["class"]
    return terms["class"]


def test_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [math.log(3), 0.0, 0.0]])
    assert loss(logits, [2, 0]).item() == pytest.approx((math.log(3) + math.log(5 / 3)) / 2)


def test_perfect_none_and_half() -> None:
    assert loss(100 * torch.eye(3), [0, 1, 2]).item() == 0
    logits = torch.zeros(0, 3, requires_grad=True)
    nothing = loss(logits, [])
    nothing.backward()
    assert nothing.item() == 0
    assert loss(torch.zeros(2, 3, dtype=torch.bfloat16), [0, 1]).dtype == torch.float32


def test_gradcheck() -> None:
    torch.manual_seed(0)
    torch.autograd.gradcheck(lambda x: loss(x, [1, 0]), torch.randn(2, 3, dtype=torch.float64, requires_grad=True))


def test_error() -> None:
    with pytest.raises(SegmentationError, match="has the parts boxes_xyxy, and the loss learns from the label"):
        region_classes_loss(Output(torch.zeros(1, 2), parts={"boxes_xyxy": torch.zeros(1, 4)}), {})
