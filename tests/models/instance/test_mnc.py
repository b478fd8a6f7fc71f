from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import ClassSpace, Instances
from intarsia.data.targets import make_targets
from intarsia.encoders import create_encoder
from intarsia.losses.task_cascade import task_cascade_loss
from intarsia.models import create_model
from intarsia.models.instance.mnc import MNC
from intarsia.models.parts.objects import objects_by_image
from intarsia.models.parts.regions import match_regions
from intarsia.postprocess.mask_voting import decode_mask_voting
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor

SHAPES = ClassSpace.from_names(["background", "square", "disc"])
SIZE = (64, 64)


def tiny(**others: Any) -> Any:
    torch.manual_seed(0)
    return create_model("mnc", num_classes=2, **{**MNC.TINY, **others})


def scene() -> tuple[Tensor, dict[str, Tensor], np.ndarray]:
    """Two bright squares and a dark disc, as an image, the targets and a map of numbers."""
    ids = np.zeros(SIZE, np.int32)
    rows, columns = np.mgrid[:64, :64]
    ids[6:26, 4:28], ids[34:56, 40:60] = 1, 2
    ids[(rows - 46) ** 2 + (columns - 18) ** 2 < 150] = 3
    truth = Instances.from_ids(ids, SHAPES, {1: 1, 2: 1, 3: 2})
    targets = {f"objects.{key}": torch.from_numpy(x) for key, x in make_targets(MNC.TARGETS, truth)["objects"].items()}
    targets["objects.image"] = torch.zeros(3, dtype=torch.int64)
    torch.manual_seed(0)
    image = torch.from_numpy(np.float32([0, 1, 1, -1])[ids]).expand(1, 3, -1, -1) + 0.1 * torch.randn(1, 3, 64, 64)
    return image, targets, ids


def linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def test_parameters_at_full_size() -> None:
    """Layer by layer as section 3 has them, with VGG-16's 14,714,688; stages 4 and 5 have none of their own."""
    with torch.device("meta"):
        network = create_model("mnc", num_classes=20)
    rpn = 9 * 512 * 512 + 512 + linear(512, 9) + linear(512, 36)
    masks = linear(14 * 14 * 512, 256) + linear(256, 21 * 21)
    classes = 2 * (linear(7 * 7 * 512, 4096) + linear(4096, 4096)) + 2 * linear(8192, 21) + linear(8192, 84)
    assert sum(p.numel() for p in network.parameters()) == 14_714_688 + rpn + masks + classes == 283_025_316


def test_conv5_3_has_stride_16_and_is_not_pooled() -> None:
    encoder = create_encoder("vgg16")
    network = MNC(encoder=encoder, num_classes=1, head_channels=2, mask_channels=2)
    assert network.stride == 16
    with torch.no_grad():
        features = network.encoder(torch.rand(1, 3, 32, 48))
    assert features[-1].shape == (1, 512, 2, 3)
    assert isinstance(network.encoder.stages[-1][-1], nn.ReLU)
    on_resnet = tiny(output_stride=32, encoder="resnet10t", frozen_norm=True)
    assert (on_resnet.encoder.channels[-1], on_resnet.stride) == (256, 16)
    assert not any(m.training for m in on_resnet.modules() if isinstance(m, nn.BatchNorm2d))


def test_masks_of_ones_leave_the_features_as_they_are_and_of_zeros_nothing() -> None:
    head = tiny().class_head.eval()
    head.of_mask.load_state_dict(head.of_box.state_dict())
    seen: list[Tensor] = []
    head.classes.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    x = torch.rand(3, 96, 14, 14)
    with torch.no_grad():
        head(x, torch.ones(3, 21, 21))
        head(x, torch.zeros(3, 21, 21))
        expected = head.of_box(torch.zeros(1, 96, 7, 7))
    by_mask, by_box = seen[0].chunk(2, 1)
    torch.testing.assert_close(by_mask, by_box)
    torch.testing.assert_close(seen[1].chunk(2, 1)[0], expected.expand(3, -1))


def test_a_mask_is_right_where_it_overlaps_its_object_by_half() -> None:
    image, targets, _ = scene()
    network = tiny()
    features = network.encoder(image)[-1]
    objects = objects_by_image(targets, 1)
    left = objects[0].boxes_xyxy.clone()
    left[0, 2] = 14  # 10 of 24 columns, too few to show the object
    regions = match_regions([torch.zeros(0, 4)], objects)._replace(boxes_xyxy=left)
    for bias, expected in ((9.0, [0, 1, 2]), (-9.0, [0, 0, 0])):  # everything in the box, or nothing
        nn.init.zeros_(network.mask_head.mask.weight)
        nn.init.constant_(network.mask_head.mask.bias, bias)
        found, wanted = network._learn(features, regions, targets["objects.masks"])
        assert wanted["label"].tolist() == [1, 1, 2]
        assert wanted["mask_label"].tolist() == expected
        network.zero_grad()
        F.cross_entropy(found.class_logits, wanted["label"]).backward(retain_graph=True)
        gradient = network.mask_head.mask.bias.grad
        # classes teach only masks that are right
        assert (gradient is not None and bool(gradient.any())) == (bias > 0)


def test_masks_and_classes_teach_the_boxes_within_the_limit() -> None:
    image, targets, _ = scene()
    network = tiny(anchor_sizes=(8, 16, 24), proposals=300)  # some of which show an object
    for name, weight in (("mask", network.mask_head.mask.weight), ("class", network.class_head.classes.weight)):
        nn.init.normal_(weight, std=0.3)
        torch.manual_seed(0)
        seen: list[Tensor] = []
        deltas = network.rpn.head.bbox_pred
        hook = deltas.register_full_backward_hook(lambda _m, _i, above, seen=seen: seen.append(above[0]))
        terms = task_cascade_loss(network(image, targets), targets)
        network.zero_grad()
        terms[name].backward()
        hook.remove()
        assert 0 < seen[0].abs().max() <= 1 / 512
        assert deltas.weight.grad.any()
    moves = network.class_head.deltas.weight
    network.zero_grad()
    task_cascade_loss(network(image, targets), targets)["mask_again"].backward()
    assert moves.grad.any(), "later masks teach what moved their boxes"
    network.box_gradient = network.rpn.box_gradient = 0.0
    for name, weight in (("mask", network.rpn.head.bbox_pred.weight), ("mask_again", moves)):
        network.zero_grad()
        task_cascade_loss(network(image, targets), targets)[name].backward()
        assert weight.grad is None or not weight.grad.any()


def test_background_does_not_teach_its_boxes() -> None:
    image, targets, _ = scene()
    network = tiny()
    nn.init.normal_(network.class_head.classes.weight, std=0.3)
    objects = objects_by_image(targets, 1)
    boxes = torch.tensor([[5.0, 7, 27, 25], [30, 2, 60, 20], [38, 36, 62, 57]], requires_grad=True)
    regions = match_regions([boxes], objects)
    found, _ = network._learn(network.encoder(image)[-1], regions, targets["objects.masks"])
    found.class_logits.square().sum().backward()
    assert boxes.grad.abs().sum(1).gt(0).tolist() == [True, False, True]


def test_candidates_are_those_of_stage_3_and_of_the_boxes_that_it_moved() -> None:
    network = tiny(proposals=9).eval()
    nn.init.normal_(network.class_head.deltas.weight, std=0.1)
    nn.init.normal_(network.class_head.mask_classes.weight, std=0.1)
    image = torch.rand(2, 3, 60, 50)
    with torch.no_grad():
        output = network(image)
        parts = output.parts
        features = network.encoder(F.pad(image, (0, 6, 0, 4)))[-1]
        half = len(parts["score"]) // 2
        boxes, index = parts["boxes_xyxy"], parts["image_index"]
        first, second = (network._look(features, boxes[at], index[at]) for at in (slice(half), slice(half, None)))
    best = first.mask_class_logits[:, 1:].argmax(1) + 1
    d = first.deltas[torch.arange(half), best] / torch.tensor([10.0, 10, 5, 5])
    size = boxes[:half, 2:] - boxes[:half, :2]
    center = boxes[:half, :2] + size / 2 + d[:, :2] * size
    moved = torch.cat([center - size * d[:, 2:].exp() / 2, center + size * d[:, 2:].exp() / 2], 1)
    moved = torch.minimum(moved.clamp(min=0), torch.tensor([50.0, 60, 50, 60]))
    torch.testing.assert_close(boxes[half:], moved, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(boxes[half:], boxes[:half], atol=0.1)
    assert set(index.tolist()) == {0, 1}
    torch.testing.assert_close(output.logits, torch.cat([first.mask_class_logits, second.mask_class_logits]))
    torch.testing.assert_close(parts["mask_logits"], torch.cat([first.mask_logits, second.mask_logits]))
    torch.testing.assert_close(parts["score"], output.logits.softmax(1)[:, 1:].amax(1))


def test_no_proposal_at_all() -> None:
    """Regions are at least 16 pixels, and the image has 12."""
    image, targets = torch.rand(1, 3, 12, 12), {name: value[:0] for name, value in scene()[1].items()}
    targets["objects.masks"] = torch.zeros(0, 12, 12, dtype=torch.uint8)
    network = tiny(min_size=16.0)
    terms = task_cascade_loss(network(image, targets), targets)
    assert all(term.isfinite() for term in terms.values())
    parts = network.eval()(image).parts
    assert parts["mask_logits"].shape == (0, 21, 21)
    assert len(parts["score"]) == 0


def test_learns_objects() -> None:
    image, targets, ids = scene()
    network = tiny(mask_channels=32, proposals=100)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    totals = []
    for _ in range(50):
        loss = sum(task_cascade_loss(network(image, targets), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        totals.append(loss.item())
    assert np.mean(totals[-10:]) < 0.4 * totals[0]
    with torch.no_grad():
        output = network.eval()(image)
    parts = {name: value.numpy() for name, value in output.parts.items()}
    masks, class_index, _ = decode_mask_voting(output.logits.numpy(), parts, SIZE)
    for number, index in ((1, 0), (2, 0), (3, 1)):
        found = [masks.mask(i) for i in np.flatnonzero(class_index == index)]
        assert max(np.sum(mask & (ids == number)) / np.sum(mask | (ids == number)) for mask in found) > 0.7


def test_recipe() -> None:
    (stage,) = load_recipe("mnc").stages
    assert (stage.model, stage.batch, stage.accumulate, stage.steps) == ("mnc", 1, 8, 25_000)
    factor = learning_rate_factor(stage, 25_000)
    assert [stage.lr * factor(step) for step in (0, 19_999, 20_000, 24_999)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
