import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError
from intarsia.losses.inside_outside import inside_outside_loss

LABEL = torch.tensor([0, 2, 0, 1, 2, 0, 0, 1])


def learnt(**changed: Any) -> Output:
    """Ten anchors of which 3 are positive, 8 regions of two images of which 4 are."""
    g = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    parts = {
        "rpn_objectness": noise(10),
        "rpn_label": torch.tensor([1.0] * 3 + [0.0] * 7),
        "rpn_deltas": noise(3, 4),
        "rpn_delta_targets": 0.2 * noise(3, 4),
        "class_logits": noise(8, 3),
        "label": LABEL,
        "region_image": torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]),
        "box_deltas": noise(4, 4),
        "box_delta_targets": 0.2 * noise(4, 4),
        "mask_logits": noise(4, 6, 6),
        "mask_targets": noise(4, 6, 6) > 0,
    }
    parts |= changed
    return Output(parts["class_logits"], parts=parts)


def each(output: Output) -> list[float]:
    """The loss of every region, one by one."""
    parts, found = output.parts, []
    positive = iter(range(4))
    for row, k in enumerate(LABEL.tolist()):
        loss = -parts["class_logits"][row].log_softmax(0)[k]
        if k:
            p = next(positive)
            pair = torch.stack([torch.zeros(6, 6), parts["mask_logits"][p]])  # the softmax over outside and inside
            loss = loss + 10 * F.cross_entropy(pair[None], parts["mask_targets"][p][None].long())
            error = (parts["box_deltas"][p] - parts["box_delta_targets"][p]).abs()
            loss = loss + torch.where(error < 1, error**2 / 2, error - 0.5).sum()
        found.append(loss.item())
    return found


def test_by_hand() -> None:
    output = learnt(class_logits=torch.zeros(8, 3), mask_logits=torch.zeros(4, 6, 6))
    wanted = output.parts["box_delta_targets"]
    terms = inside_outside_loss(learnt(**output.parts | {"box_deltas": wanted + torch.tensor([0.5, 0, 0, 3])}), {})
    assert [terms[name].item() for name in ("class", "mask", "box")] == pytest.approx(
        [math.log(3), 10 * math.log(2) * 4 / 8, 4 * (0.125 + 2.5) / 8]
    )
    assert set(terms) == {"rpn_class", "rpn_box", "class", "mask", "box"}


def test_all_regions_or_the_hardest_of_each_image() -> None:
    losses = each(learnt())
    for count in (1, 2, 3, 128):
        terms = inside_outside_loss(learnt(hardest=torch.tensor(count)), {})
        kept = sorted(losses[:5])[-count:] + sorted(losses[5:])[-count:]
        assert sum(terms[name].item() for name in ("class", "mask", "box")) == pytest.approx(sum(kept) / len(kept), rel=1e-5)
    everything = inside_outside_loss(learnt(), {})
    assert sum(everything[name].item() for name in ("class", "mask", "box")) == pytest.approx(sum(losses) / 8, rel=1e-5)


def test_only_the_hardest_have_gradients() -> None:
    losses = each(learnt())
    logits = learnt().parts["class_logits"].requires_grad_()
    sum(inside_outside_loss(learnt(class_logits=logits, hardest=torch.tensor(2)), {}).values()).backward()
    moved = torch.where(logits.grad.abs().sum(1) > 0)[0].tolist()
    first, second = (sorted(range(*span), key=lambda row: -losses[row])[:2] for span in ((5,), (5, 8)))
    assert moved == sorted(first + second)


def test_without_anything_positive_or_anything() -> None:
    empty = {"rpn_deltas": torch.zeros(0, 4), "rpn_delta_targets": torch.zeros(0, 4), "label": torch.zeros(8, dtype=torch.int64)}
    empty |= {"box_deltas": torch.zeros(0, 4), "box_delta_targets": torch.zeros(0, 4)}
    empty |= {"mask_logits": torch.zeros(0, 6, 6), "mask_targets": torch.zeros(0, 6, 6, dtype=torch.bool)}
    for more in ({}, {"hardest": torch.tensor(4)}):
        terms = inside_outside_loss(learnt(**empty, **more), {})
        assert (terms["rpn_box"], terms["mask"], terms["box"]) == (0, 0, 0)
        assert all(term.isfinite() for term in terms.values())
        nothing = {name: value[:0] for name, value in learnt().parts.items()}
        assert not any(inside_outside_loss(Output(torch.zeros(0, 3), parts=nothing | more), {}).values())


def test_half_precision_is_widened() -> None:
    output = learnt(hardest=torch.tensor(3))
    half = {name: x.bfloat16() if x.is_floating_point() else x for name, x in output.parts.items()}
    terms = inside_outside_loss(output._replace(parts=half), {})
    assert {term.dtype for term in terms.values()} == {torch.float32}
    for name, term in inside_outside_loss(output, {}).items():
        torch.testing.assert_close(terms[name], term, atol=0.05, rtol=0.05)


def test_an_output_of_evaluation_is_refused() -> None:
    with pytest.raises(SegmentationError, match=r"the parts none, and .* in training mode"):
        inside_outside_loss(Output(torch.zeros(1, 2)), {})
