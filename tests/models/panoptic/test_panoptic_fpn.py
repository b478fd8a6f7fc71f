from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from intarsia.core import ClassSpace, Panoptic, Segment, SegmentationClass
from intarsia.data.targets import make_targets
from intarsia.losses.boxes_and_masks import boxes_and_masks_loss
from intarsia.losses.things_and_stuff import things_and_stuff_loss
from intarsia.models import create_model
from intarsia.models.panoptic.panoptic_fpn import PanopticFPN
from intarsia.postprocess.panoptic_merge import decode_panoptic_merge
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor

CLASSES = ClassSpace(
    tuple(
        SegmentationClass(name, (i, i, i), is_thing=name in ("square", "disc"))
        for i, name in enumerate(("ground", "square", "sky", "disc"))
    )
)


def tiny(**others: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model("panoptic_fpn", classes=CLASSES, **{**PanopticFPN.TINY, **others})


def scene() -> tuple[Tensor, dict[str, Tensor], Panoptic]:
    """Sky over ground, with a square, a disc and a strip of void."""
    ids = np.full((64, 64), 1)
    ids[32:] = 2
    rows, columns = np.mgrid[:64, :64]
    ids[20:44, 6:28] = 3
    ids[(rows - 44) ** 2 + (columns - 46) ** 2 < 150] = 4
    image = torch.from_numpy(np.float32([0, -1, 0, 1, 2])[ids]).expand(1, 3, -1, -1) + 0.1 * torch.randn(1, 3, 64, 64)
    ids[:, 62:] = 0
    truth = Panoptic(ids, (Segment(1, 2), Segment(2, 0), Segment(3, 1), Segment(4, 3)), CLASSES)
    made = make_targets(PanopticFPN.TARGETS, truth)
    targets = {f"objects.{key}": torch.from_numpy(x) for key, x in made["objects"].items()}
    targets |= {"objects.image": torch.zeros(2, dtype=torch.int64), "stuff": torch.from_numpy(made["stuff"])[None]}
    return image, targets, truth


@pytest.mark.parametrize(("merge", "count"), [("sum", 45_978_347), ("concat", 45_999_083)])
def test_parameters(merge: str, count: int) -> None:
    """Those of Mask R-CNN for 80 things, 44,347,573 without normalisation, and of the head for 53 kinds of stuff and one more."""
    with torch.device("meta"):
        network = create_model("panoptic_fpn", num_classes=133, thing_ids=range(80), merge=merge, frozen_norm=True)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == count
    assert sum(p.numel() for p in network.semantic.parameters()) == count - 44_347_573


def test_stuff_at_the_size_of_the_image_beside_detections() -> None:
    network = tiny(score_threshold=0.0)
    for size in [(1, 1), (33, 47), (64, 32)]:
        image = torch.rand(2, 3, *size)
        output = network.eval()(image)
        assert output.logits.shape == (2, 3, *size)
        assert set(output.parts) == {"boxes_xyxy", "class_index", "score", "image_index", "mask_logits"}
    _, targets, _ = scene()
    assert network.train()(torch.rand(1, 3, 64, 64), targets).parts["class_logits"].shape[1] == 3


def test_both_heads_see_one_pyramid_and_only_the_detector_its_topmost_map() -> None:
    network = tiny()
    seen: dict[str, list[tuple[int, ...]]] = {}

    def note(name: str) -> Any:
        return lambda _m, inputs, _o: seen.update({name: [tuple(x.shape[-2:]) for x in inputs[0]]})

    network.detector.rpn.head.register_forward_hook(note("rpn"))
    network.semantic.register_forward_hook(note("semantic"))
    network(torch.rand(1, 3, 64, 96))
    assert seen["semantic"] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert seen["rpn"] == [*seen["semantic"], (1, 2)]


def test_the_trunk_learns_from_both() -> None:
    image, targets, _ = scene()
    for name in ("box", "stuff"):
        network = tiny(merge="concat")
        things_and_stuff_loss(network(image, targets), targets)[name].backward()
        assert next(network.encoder.parameters()).grad.abs().sum() > 0


def test_learns_a_scene() -> None:
    torch.manual_seed(0)
    image, targets, truth = scene()
    network = tiny(regions=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 150)
    totals = []
    for _ in range(150):
        loss = sum(things_and_stuff_loss(network(image, targets), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        totals.append(loss.item())
    assert np.mean(totals[-10:]) < 0.4 * totals[0]
    with torch.no_grad():
        output = network.eval()(image)
    parts = {name: value.numpy() for name, value in output.parts.items()}
    ids, segments = decode_panoptic_merge(output.logits[0].numpy(), parts, (64, 64), thing_ids=(1, 3), num_classes=4)
    found = Panoptic(ids, segments, CLASSES)
    valid = truth.ids > 0
    assert (found.to_label_map().ids == truth.to_label_map().ids)[valid].mean() > 0.9
    for number, class_id in ((3, 1), (4, 3)):
        masks = [found.ids == segment.id for segment in segments if segment.class_id == class_id]
        assert max(np.sum(mask & (truth.ids == number)) / np.sum(mask | (truth.ids == number)) for mask in masks) > 0.7


def test_things_alone_are_mask_rcnn() -> None:
    """With the same weights the detector says what `mask_rcnn` says."""
    network = tiny()
    twin = create_model("mask_rcnn", num_classes=2, **{k: v for k, v in PanopticFPN.TINY.items() if k != "semantic_channels"})
    twin.load_state_dict({name: value for name, value in network.state_dict().items() if not name.startswith("semantic.")})
    image, targets, _ = scene()
    torch.manual_seed(3)
    terms = things_and_stuff_loss(network(image, targets), targets)
    torch.manual_seed(3)
    for name, term in boxes_and_masks_loss(twin(image, targets), targets).items():
        torch.testing.assert_close(terms[name], term)


def test_recipes() -> None:
    (coco,) = load_recipe("panoptic_fpn").stages
    (city,) = load_recipe("panoptic_fpn_cityscapes").stages
    assert (coco.batch, coco.steps, coco.imgsz, city.batch, city.steps, city.crop) == (
        16, 90_000, (800, 1333), 32, 65_000, (512, 1024)
    )  # fmt: skip
    factor = learning_rate_factor(coco, 90_000)
    steps = (500, 59_999, 60_000, 79_999, 80_000)
    assert [coco.lr * factor(step) for step in steps] == pytest.approx([0.02, 0.02, 0.002, 0.002, 0.0002])
    factor = learning_rate_factor(city, 65_000)
    steps = (500, 39_999, 40_000, 54_999, 55_000)
    assert [city.lr * factor(step) for step in steps] == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])
    assert (coco.loss_options, city.loss_options) == ({}, {"stuff_weight": 1.0})
