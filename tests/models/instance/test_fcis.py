from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from intarsia.core import ClassSpace, Instances, SettingsError
from intarsia.data.targets import make_targets
from intarsia.losses.inside_outside import inside_outside_loss
from intarsia.models import create_model
from intarsia.models.instance.fcis import FCIS, class_scores, inside_against_outside
from intarsia.postprocess.mask_voting import decode_mask_voting
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor

SHAPES = ClassSpace.from_names(["background", "square", "disc"])
SIZE = (64, 64)


def tiny(**others: Any) -> Any:
    torch.manual_seed(0)
    return create_model("fcis", num_classes=2, **{**FCIS.TINY, **others})


def scene() -> tuple[Tensor, dict[str, Tensor], np.ndarray]:
    """Two bright squares and a dark disc, as an image, the targets and a map of numbers."""
    ids = np.zeros(SIZE, np.int32)
    rows, columns = np.mgrid[:64, :64]
    ids[6:26, 4:28], ids[34:56, 40:60] = 1, 2
    ids[(rows - 46) ** 2 + (columns - 18) ** 2 < 150] = 3
    truth = Instances.from_ids(ids, SHAPES, {1: 1, 2: 1, 3: 2})
    targets = {f"objects.{key}": torch.from_numpy(x) for key, x in make_targets(FCIS.TARGETS, truth)["objects"].items()}
    targets["objects.image"] = torch.zeros(3, dtype=torch.int64)
    torch.manual_seed(0)
    image = torch.from_numpy(np.float32([0, 1, 1, -1])[ids]).expand(1, 3, -1, -1) + 0.1 * torch.randn(1, 3, 64, 64)
    return image, targets, ids


def linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def test_parameters_at_full_size() -> None:
    """Layer by layer as section 3 has them, with the 42,500,160 of ResNet-101; regions have none of their own."""
    with torch.device("meta"):
        network = create_model("fcis", num_classes=80)
    rpn = 9 * 1024 * 1024 + 1024 + linear(1024, 12) + linear(1024, 48)
    maps = linear(2048, 1024) + linear(1024, 7 * 7 * 2 * 81) + linear(1024, 7 * 7 * 8)
    assert sum(p.numel() for p in network.parameters()) == 42_500_160 + rpn + maps == 62_636_294
    assert network.scores.out_channels == 7938
    assert network.encoder.strides[-2:] == (16, 16)


def test_each_part_reads_its_own_maps_by_hand() -> None:
    """A region of 7 x 7 cells of the map: bin (i, j) is cell (i // 3, j // 3) of map ((2 k + s) 7 + i // 3) 7 + j // 3."""
    network = tiny()
    maps, boxes = torch.randn(1, 6 * 49, 8, 8), torch.randn(1, 8 * 49, 8, 8)
    stride = network.stride
    region = torch.tensor([[0.0, stride, 0, 8 * stride, 7 * stride]])  # half-open, one cell from the left
    pairs, classes, deltas = network._read((maps, boxes), region)
    assert pairs.shape == (1, 3, 2, 21, 21)
    expected = torch.empty(3, 2, 21, 21)
    for k, s, i, j in np.ndindex(3, 2, 21, 21):
        expected[k, s, i, j] = maps[0, ((2 * k + s) * 7 + i // 3) * 7 + j // 3, i // 3, 1 + j // 3]
    torch.testing.assert_close(pairs[0], expected)
    torch.testing.assert_close(classes[0], torch.maximum(expected[:, 0], expected[:, 1]).flatten(1).mean(1))
    read = torch.tensor([[boxes[0, o * 49 + i * 7 + j, i, 1 + j] for i in range(7) for j in range(7)] for o in range(4, 8)])
    torch.testing.assert_close(deltas[0], read.mean(1))
    masks = inside_against_outside(pairs, torch.tensor([2])).sigmoid()
    torch.testing.assert_close(masks[0], expected[2].softmax(0)[1])


def test_constant_scores_and_shifted_maps() -> None:
    pairs = torch.full((4, 3, 2, 21, 21), 0.7)
    torch.testing.assert_close(class_scores(pairs), torch.full((4, 3), 0.7))
    assert (inside_against_outside(pairs, torch.tensor([0, 1, 2, 1])) == 0).all()
    pairs[:, :, 1] -= 0.4  # what is less changes masks alone
    torch.testing.assert_close(class_scores(pairs), torch.full((4, 3), 0.7))
    torch.testing.assert_close(inside_against_outside(pairs, torch.tensor([0, 1, 2, 1])), torch.full((4, 21, 21), -0.4))


def test_masks_and_classes_come_from_the_same_maps_and_only_the_true_pair_is_taught() -> None:
    image, targets, _ = scene()
    network = tiny()
    for term, rows in (("mask", {1, 2}), ("class", {0, 1, 2})):
        network.zero_grad()
        inside_outside_loss(network(image, targets), targets)[term].backward()
        by_class = network.scores.bias.grad.view(3, -1).abs().sum(1)
        assert set(torch.where(by_class > 0)[0].tolist()) == rows


def test_all_regions_are_kept_for_mining_or_a_quarter_is_positive() -> None:
    image, targets, _ = scene()
    parts = tiny(proposals=40)(image, targets).parts
    assert parts["hardest"] == 32
    assert len(parts["label"]) > 32
    assert parts["mask_logits"].shape == parts["mask_targets"].shape == (int((parts["label"] > 0).sum()), 21, 21)
    sampled = tiny(ohem=False, regions=8)(image, targets).parts
    assert "hardest" not in sampled
    assert len(sampled["label"]) == 8
    assert int((sampled["label"] > 0).sum()) == 2


def test_the_second_pass_looks_at_the_moved_boxes() -> None:
    network = tiny(proposals=9).eval()
    nn.init.constant_(network.boxes.bias[4 * 49 : 5 * 49], 0.8)  # times 0.2: by 0.16 of the width to the right
    nn.init.zeros_(network.boxes.weight)
    image = torch.rand(2, 3, 60, 50)
    with torch.no_grad():
        both = network(image).parts
        network.passes = 1
        once = network(image).parts
    count = len(once["score"])
    for name, value in once.items():
        torch.testing.assert_close(both[name][:count], value)
    before, after = once["boxes_xyxy"], both["boxes_xyxy"][count:]
    shift = 0.16 * (before[:, 2] - before[:, 0])
    expected = before + torch.stack([shift, 0 * shift, shift, 0 * shift], 1)
    expected = torch.minimum(expected, torch.tensor([50.0, 60, 50, 60]))
    wide = expected[:, 2] - expected[:, 0] >= 2
    torch.testing.assert_close(after, expected[wide], atol=1e-4, rtol=1e-5)
    assert both["image_index"][count:].tolist() == once["image_index"][wide].tolist()
    with pytest.raises(SettingsError, match="one pass or in two; 3 were asked for"):
        tiny(passes=3)


def test_no_proposal_at_all() -> None:
    """Regions are at least 16 pixels, and the image has 12."""
    image, targets = torch.rand(1, 3, 12, 12), {name: value[:0] for name, value in scene()[1].items()}
    targets["objects.masks"] = torch.zeros(0, 12, 12, dtype=torch.uint8)
    for ohem in (True, False):
        network = tiny(min_size=16.0, ohem=ohem)
        assert all(term.isfinite() for term in inside_outside_loss(network(image, targets), targets).values())
    parts = network.eval()(image).parts
    assert parts["mask_logits"].shape == (0, 21, 21)
    assert len(parts["score"]) == 0


def test_normalisation_stays_frozen() -> None:
    network = tiny(frozen_norm=True).train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


def test_learns_objects() -> None:
    image, targets, ids = scene()
    network = tiny(channels=64)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    totals = []
    for _ in range(60):
        loss = sum(inside_outside_loss(network(image, targets), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert np.mean(totals[-10:]) < 0.4 * max(totals)  # mining finds little to learn while no proposal shows an object
    with torch.no_grad():
        output = network.eval()(image)
    parts = {name: value.numpy() for name, value in output.parts.items()}
    masks, class_index, _ = decode_mask_voting(output.logits.numpy(), parts, SIZE)
    for number, index in ((1, 0), (2, 0), (3, 1)):
        found = [masks.mask(i) for i in np.flatnonzero(class_index == index)]
        assert max(np.sum(mask & (ids == number)) / np.sum(mask | (ids == number)) for mask in found) > 0.6


@pytest.mark.parametrize(
    ("recipe", "steps", "rates"),
    [("fcis", 118_288, [4e-3 / 250, 4e-3, 4e-3, 4e-4, 4e-4]), ("fcis_voc", 22_000, [2e-3, 2e-3, 2e-3, 2e-4, 2e-4])],
)
def test_recipe(recipe: str, steps: int, rates: list[float]) -> None:
    (stage,) = load_recipe(recipe).stages
    drop = round(stage.milestones[0] * steps)
    factor = learning_rate_factor(stage, steps)
    asked = (0, 250, drop - 2, drop + 1, steps - 1)
    assert [stage.lr * factor(step) for step in asked] == pytest.approx(rates)
    assert drop / steps * stage.epochs == pytest.approx(5.33 if recipe == "fcis" else 14, abs=0.01)
    assert (stage.batch, stage.lr / stage.batch) == ({"fcis": 8, "fcis_voc": 4}[recipe], pytest.approx(5e-4))
    with torch.device("meta"):
        network = create_model(stage.model, num_classes=20, encoder=stage.encoder, **stage.options)
    assert network.rpn.anchor_generator.num_anchors_per_location() == [{"fcis": 12, "fcis_voc": 9}[recipe]]
