import math
from typing import Any

import pytest
import torch
from torch import Tensor

from intarsia.core import Output, SegmentationError
from intarsia.losses.task_cascade import task_cascade_loss


def learnt(dtype: torch.dtype = torch.float32) -> Output:
    """Ten anchors of which 3 are positive, 8 regions of which 4 are in the first turn and 3 in the second."""
    g = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=dtype)

    parts: dict[str, Tensor] = {
        "rpn_objectness": noise(10),
        "rpn_label": torch.tensor([1.0] * 3 + [0.0] * 7),
        "rpn_deltas": noise(3, 4),
        "rpn_delta_targets": 0.2 * noise(3, 4),
    }
    for turn, label in (("", [0, 2, 0, 1, 2, 0, 0, 1]), ("_again", [0, 2, 0, 1, 2, 0, 0, 0])):
        count = sum(k > 0 for k in label)
        parts |= {
            f"label{turn}": torch.tensor(label),
            f"mask_label{turn}": torch.tensor([0, 2, 0, 0, 2, 0, 0, 0]),
            f"class_logits{turn}": noise(8, 3),
            f"mask_class_logits{turn}": noise(8, 3),
            f"box_deltas{turn}": noise(count, 4),
            f"box_delta_targets{turn}": 0.2 * noise(count, 4),
            f"mask_logits{turn}": noise(count, 5, 5),
            f"mask_targets{turn}": noise(count, 5, 5) > 0,
        }
    return Output(parts["mask_class_logits_again"], parts=parts)


def changed(output: Output, **parts: Any) -> Output:
    return output._replace(parts=output.parts | parts)


def test_by_hand() -> None:
    output = learnt()
    parts = output.parts
    terms = task_cascade_loss(
        changed(
            output,
            rpn_objectness=torch.zeros(10),
            rpn_deltas=parts["rpn_delta_targets"] + torch.tensor([0.0, 1 / 18, 1, -2]),
            class_logits=torch.zeros(8, 3),
            mask_class_logits=torch.tensor([[0.0, 0, 30]]).expand(8, 3),
            box_deltas=parts["box_delta_targets"] + torch.tensor([0.5, 0, 0, 3]),
            mask_logits=torch.zeros(4, 5, 5),
            mask_logits_again=60.0 * parts["mask_targets_again"] - 30,
            box_deltas_again=parts["box_delta_targets_again"],
        ),
        {},
    )
    known = {name: term.item() for name, term in terms.items() if name not in ("class_again", "mask_class_again")}
    assert known == pytest.approx(
        {
            "rpn_class": math.log(2),
            "rpn_box": 3 * (0.5 * 9 / 18**2 + (1 - 1 / 18) + (2 - 1 / 18)) / 10,
            "mask": 2 * math.log(2),
            "class": math.log(3),
            "mask_class": 6 * 30 / 8,
            "box": 4 * (0.125 + 2.5) / 8,
            "mask_again": 0,
            "box_again": 0,
        },
        abs=1e-6,
    )
    assert len(terms) == 10


def test_agrees_with_slow_sums() -> None:
    output = learnt()
    terms = task_cascade_loss(output, {}, mask_weight=3)
    for turn in ("", "_again"):
        parts = {name.removesuffix(turn): value for name, value in output.parts.items() if name.endswith(turn)}
        for term, logits, label in (("class", "class_logits", "label"), ("mask_class", "mask_class_logits", "mask_label")):
            rows = [-row.log_softmax(0)[k] for row, k in zip(parts[logits], parts[label], strict=True)]
            torch.testing.assert_close(terms[term + turn], torch.stack(rows).mean())
        p = parts["mask_logits"].sigmoid()
        entropy = -torch.where(parts["mask_targets"], p, 1 - p).log()
        torch.testing.assert_close(terms["mask" + turn], 3 * entropy.mean())
        error = (parts["box_deltas"] - parts["box_delta_targets"]).abs()
        torch.testing.assert_close(terms["box" + turn], torch.where(error < 1, error**2 / 2, error - 0.5).sum() / 8)


def test_without_anything_positive_or_anything() -> None:
    output = learnt()
    empty = {name: value[:0] for name, value in output.parts.items() if "delta" in name or name.startswith("mask_logits")}
    empty |= {name: value[:0] for name, value in output.parts.items() if name.startswith("mask_targets")}
    terms = task_cascade_loss(changed(output, **empty), {})
    assert all(terms[name] == 0 for name in ("rpn_box", "mask", "box", "mask_again", "box_again"))
    assert all(term.isfinite() for term in terms.values())
    nothing = {name: value[:0] for name, value in output.parts.items()}
    assert not any(task_cascade_loss(Output(torch.zeros(0, 3), parts=nothing), {}).values())


def test_half_precision_is_widened() -> None:
    output = learnt()
    half = {name: x.bfloat16() if x.is_floating_point() else x for name, x in output.parts.items()}
    terms = task_cascade_loss(output._replace(parts=half), {})
    assert {term.dtype for term in terms.values()} == {torch.float32}
    for name, term in task_cascade_loss(output, {}).items():
        torch.testing.assert_close(terms[name], term, atol=0.03, rtol=0.03)


def test_an_output_of_evaluation_is_refused() -> None:
    with pytest.raises(SegmentationError, match=r"the parts boxes_xyxy, and .* in training mode"):
        task_cascade_loss(Output(torch.zeros(1, 2), parts={"boxes_xyxy": torch.zeros(0)}), {})
