import math

import pytest
import torch
from torch import Tensor

from intarsia.core import Output, SegmentationError
from intarsia.losses.boxes_and_masks import boxes_and_masks_loss
from intarsia.losses.things_and_stuff import things_and_stuff_loss


def learnt() -> tuple[Output, dict[str, Tensor]]:
    torch.manual_seed(0)
    parts = {
        "rpn_objectness": torch.randn(4),
        "rpn_label": torch.tensor([1.0, 0, 0, 0]),
        "rpn_deltas": torch.randn(1, 4),
        "rpn_delta_targets": torch.zeros(1, 4),
        "class_logits": torch.randn(3, 2),
        "label": torch.tensor([1, 0, 0]),
        "box_deltas": torch.randn(1, 4),
        "box_delta_targets": torch.zeros(1, 4),
        "mask_logits": torch.randn(1, 7, 7),
        "mask_boxes_xyxy": torch.tensor([[0.0, 0, 6, 6]]),
        "mask_object": torch.tensor([0]),
    }
    stuff = torch.tensor([[0, 1, 2, 255]] * 4, dtype=torch.uint8)[None]
    return Output(torch.zeros(1, 3, 4, 4), parts=parts), {"objects.masks": torch.ones(1, 8, 8, dtype=torch.uint8), "stuff": stuff}


def test_terms_and_weights() -> None:
    output, targets = learnt()
    things = boxes_and_masks_loss(Output(output.parts["class_logits"], parts=output.parts), targets)
    terms = things_and_stuff_loss(output, targets)
    assert terms["stuff"].item() == pytest.approx(0.5 * math.log(3))
    assert {name: terms[name] for name in things} == things
    weighed = things_and_stuff_loss(output, targets, things_weight=2.0, stuff_weight=1.0)
    assert weighed["stuff"].item() == pytest.approx(math.log(3))
    torch.testing.assert_close([weighed[name] for name in things], [2 * term for term in things.values()])


def test_void_does_not_count() -> None:
    output, targets = learnt()
    logits = torch.zeros(1, 3, 4, 4)
    logits[..., 3] = torch.tensor([50.0, -50, 0])[:, None]
    assert things_and_stuff_loss(output._replace(logits=logits), targets)["stuff"].item() == pytest.approx(0.5 * math.log(3))
    void = targets | {"stuff": torch.full((1, 4, 4), 255)}
    assert things_and_stuff_loss(output, void)["stuff"] == 0


def test_an_output_of_evaluation_is_refused() -> None:
    with pytest.raises(SegmentationError, match=r"the parts score and lacks .* in training mode"):
        things_and_stuff_loss(Output(torch.zeros(1, 3, 4, 4), parts={"score": torch.zeros(0)}), {})
