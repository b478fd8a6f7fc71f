import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import fastrcnn_loss, project_masks_on_boxes
from torchvision.models.detection.rpn import RegionProposalNetwork

from intarsia.core import Output, SegmentationError
from intarsia.losses.boxes_and_masks import boxes_and_masks_loss


def learnt(dtype: torch.dtype = torch.float32) -> tuple[Output, dict[str, Tensor]]:
    """Ten anchors of which 3 are positive, 8 regions of which 4 are, and two objects of two classes in 32 x 32 pixels."""
    g = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=dtype)

    corner = 10 * torch.rand(4, 2, generator=g)
    parts = {
        "rpn_objectness": noise(10),
        "rpn_label": torch.tensor([1.0] * 3 + [0.0] * 7),
        "rpn_deltas": noise(3, 4),
        "rpn_delta_targets": 0.2 * noise(3, 4),
        "label": torch.tensor([0, 2, 0, 1, 2, 0, 0, 1]),
        "box_deltas": noise(4, 4),
        "box_delta_targets": 0.2 * noise(4, 4),
        "mask_logits": noise(4, 7, 7),
        "mask_boxes_xyxy": torch.cat([corner, corner + 9], 1),
        "mask_object": torch.tensor([1, 0, 1, 0]),
    }
    masks = torch.zeros(3, 32, 32, dtype=torch.uint8)
    masks[0, 4:14, 6:16] = masks[1, 2:12, 3:9] = 1
    return Output(noise(8, 3), parts=parts), {"objects.masks": masks}


def test_by_hand() -> None:
    output, targets = learnt()
    parts = output.parts | {
        "rpn_objectness": torch.zeros(10),
        "rpn_deltas": output.parts["rpn_delta_targets"] + torch.tensor([0.0, 1 / 18, 1, -2]),
        "box_deltas": output.parts["box_delta_targets"] + 1 / 3,
        "mask_logits": torch.zeros(4, 7, 7),
    }
    terms = boxes_and_masks_loss(Output(torch.zeros(8, 3), parts=parts), targets)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {
            "rpn_class": math.log(2),
            "rpn_box": 3 * (0.5 * 9 / 18**2 + (1 - 1 / 18) + (2 - 1 / 18)) / 10,
            "class": math.log(3),
            "box": 16 * (1 / 3 - 1 / 18) / 8,
            "mask": math.log(2),
        }
    )


def test_agrees_with_the_losses_of_torchvision() -> None:
    output, targets = learnt()
    parts = output.parts
    found = boxes_and_masks_loss(output, targets, mask_target="soft")
    deltas, wanted = torch.randn(8, 3, 4), torch.zeros(8, 4)
    positive = torch.where(parts["label"] > 0)[0]
    deltas[positive, parts["label"][positive]], wanted[positive] = parts["box_deltas"], parts["box_delta_targets"]
    classes, boxes = fastrcnn_loss(output.logits, deltas.flatten(1), [parts["label"]], [wanted])
    read = project_masks_on_boxes(targets["objects.masks"], parts["mask_boxes_xyxy"], parts["mask_object"], 7)
    masks = F.binary_cross_entropy_with_logits(parts["mask_logits"], read)
    torch.testing.assert_close((found["class"], found["box"], found["mask"]), (classes, boxes, masks))

    class TakesAll:
        """In place of a sampler."""

        def __call__(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            return [label == 1 for label in labels], [label == 0 for label in labels]

        fg_bg_sampler = __call__

    every = torch.zeros(10, 4)
    given = (
        every.index_copy(0, torch.arange(3), parts["rpn_deltas"]),
        every.index_copy(0, torch.arange(3), parts["rpn_delta_targets"]),
    )
    theirs = RegionProposalNetwork.compute_loss(TakesAll(), parts["rpn_objectness"], given[0], [parts["rpn_label"]], [given[1]])
    torch.testing.assert_close((found["rpn_class"], found["rpn_box"]), theirs)


def test_masks_are_read_in_their_boxes() -> None:
    """An object of 10 x 10 pixels seen by a box twice as wide, whose left half it fills: cells of 2 x 1 pixels."""
    output, _ = learnt()
    masks = torch.zeros(1, 32, 32)
    masks[0, 4:14, 6:16] = 1
    box = torch.tensor([[6.0, 4, 26, 14]])
    parts = output.parts | {"mask_boxes_xyxy": box, "mask_object": torch.tensor([0])}
    sure = torch.full((1, 10, 10), -30.0)
    sure[..., :5] = 30
    output = output._replace(parts=parts | {"mask_logits": sure})
    terms = boxes_and_masks_loss(output, {"objects.masks": masks})
    assert terms["mask"].item() < 1e-6  # binary targets are in place to the pixel
    soft = boxes_and_masks_loss(
        output._replace(parts=parts | {"mask_logits": sure}), {"objects.masks": masks}, mask_target="soft"
    )
    assert soft["mask"].item() > 1  # torchvision's lie half a pixel off


@pytest.mark.parametrize("soft", [True, False])
def test_masks_that_compete(soft: bool) -> None:
    output, targets = learnt()
    logits = torch.randn(4, 3, 7, 7)
    parts = {name: x for name, x in output.parts.items() if name != "mask_logits"} | {"mask_class_logits": logits}
    found = boxes_and_masks_loss(Output(output.logits, parts=parts), targets, mask_target="soft" if soft else "binary")["mask"]
    log_p = logits.log_softmax(1)
    read = _read(parts, targets, soft)
    expected = [-(read[i] * log_p[i, k] + (1 - read[i]) * log_p[i, 0]) for i, k in enumerate([2, 1, 2, 1])]
    torch.testing.assert_close(found, torch.stack(expected).mean())


def _read(parts: Any, targets: Any, soft: bool) -> Tensor:
    """The wanted masks, got from the gradient: of the mean of p - wanted over the logits."""
    logits = torch.zeros(4, 7, 7, requires_grad=True)
    given = dict(parts) | {"mask_logits": logits}
    del given["mask_class_logits"]
    how = "soft" if soft else "binary"
    boxes_and_masks_loss(Output(torch.zeros(8, 3), parts=given), targets, mask_target=how)["mask"].backward()
    return 0.5 - logits.grad * logits.numel()


def test_without_anything_positive() -> None:
    output, targets = learnt()
    empty = {name: torch.zeros(0, 4) for name in ("rpn_deltas", "rpn_delta_targets", "box_deltas", "box_delta_targets")}
    parts = output.parts | empty | {"rpn_label": torch.zeros(10), "label": torch.zeros(8, dtype=torch.int64)}
    parts |= {"mask_logits": torch.zeros(0, 7, 7), "mask_object": torch.zeros(0, dtype=torch.int64)}
    terms = boxes_and_masks_loss(Output(output.logits, parts=parts), {"objects.masks": targets["objects.masks"][:0]})
    assert (terms["rpn_box"], terms["box"], terms["mask"]) == (0, 0, 0)
    assert all(term.isfinite() for term in terms.values())
    nothing = parts | {"rpn_objectness": torch.zeros(0), "rpn_label": torch.zeros(0), "label": torch.zeros(0, dtype=torch.int64)}
    assert not any(boxes_and_masks_loss(Output(torch.zeros(0, 3), parts=nothing), targets).values())


def test_half_precision_is_widened() -> None:
    output, targets = learnt()
    half = {name: x.bfloat16() if name.endswith(("logits", "deltas", "objectness")) else x for name, x in output.parts.items()}
    terms = boxes_and_masks_loss(Output(output.logits.bfloat16(), parts=half), targets)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    for name, term in boxes_and_masks_loss(output, targets).items():
        torch.testing.assert_close(terms[name], term, atol=0.02, rtol=0.02)


def test_gradients_point_downhill() -> None:
    """Autograd in float32, as the loss computes; a step along the gradient takes what it promises."""
    output, targets = learnt()
    names = [name for name in output.parts if name.endswith(("logits", "deltas", "objectness"))]
    leaves = {name: output.parts[name].clone().requires_grad_() for name in names} | {"": output.logits.clone().requires_grad_()}

    def total(step: float = 0) -> Tensor:
        moved = {name: x - step * x.grad if step else x for name, x in leaves.items()}
        return sum(boxes_and_masks_loss(Output(moved[""], parts=output.parts | moved), targets).values())

    total().backward()
    promised = sum((x.grad**2).sum() for x in leaves.values()).item()
    with torch.no_grad():
        assert ((total(-1e-2) - total(1e-2)) / 2e-2).item() == pytest.approx(promised, rel=1e-2)


def test_an_output_of_evaluation_is_refused() -> None:
    with pytest.raises(SegmentationError, match=r"the parts boxes_xyxy, score, and .* in training mode"):
        boxes_and_masks_loss(Output(torch.zeros(1, 2), parts={"boxes_xyxy": torch.zeros(0), "score": torch.zeros(0)}), {})
