import numpy as np
import pytest
import torch
from torch.nn import functional as F

from intarsia.core import ClassSpace, Instances, Output
from intarsia.data.collate import PreparedSample, collate
from intarsia.data.targets import make_targets
from intarsia.inference.objects import arrays_of_image
from intarsia.losses.region_classes import region_classes_loss
from intarsia.models.instance.sds import CONTEXT, SDS, Regions, _propose, _sample, _unsuppressed, _with_context
from intarsia.models.parts.objects import Objects
from intarsia.postprocess.paste_masks import decode_paste_masks
from intarsia.recipes import load_recipe

CELLS = ClassSpace.from_names(["background", "round", "square"])


def tiny(**others: object) -> SDS:
    torch.manual_seed(0)
    return SDS(**{"num_classes": 2, **SDS.TINY, **others})


def quarters() -> Regions:
    """Four small regions of 2 x 3 pixels; of the proposals one is each of the first two, one all but the last."""
    ids = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3], [2, 2, 2, 3, 3, 3]])
    members = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]]).bool()
    return Regions(ids, members, torch.tensor([[0.0, 0, 3, 2], [3, 0, 6, 2], [0, 0, 6, 4]]))


def test_parameters_at_full_size() -> None:
    """Twice CaffeNet up to fc7, counted by hand, and the classifier on both."""
    convolutions = 96 * 364 + 256 * (48 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (192 * 9 + 1) + 256 * (192 * 9 + 1)
    hidden = 4096 * (256 * 6 * 6 + 1) + 4096 * 4097
    with torch.device("meta"):
        network = SDS(num_classes=20)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 2 * (convolutions + hidden) + 21 * 8193 == 113_908_501


def test_overlaps_by_hand() -> None:
    regions = quarters()
    masks = torch.zeros(2, 4, 6, dtype=torch.uint8)
    masks[0, :2, 1:4] = 1  # 4 of 6 pixels on the first quarter, 2 on the second
    masks[1, 2:, 3:] = 1
    assert regions.overlaps(masks) == pytest.approx(torch.tensor([[4 / 8, 0], [2 / 10, 0], [6 / 18, 0]]))
    assert regions.overlaps_within(torch.tensor([2, 0])) == pytest.approx(torch.tensor([[1, 1 / 3], [1 / 3, 1]]))


def test_inside_reads_the_pixel_under_each_point() -> None:
    regions = quarters()
    chosen = torch.tensor([2, 1])
    boxes = torch.tensor([[0.0, 0, 6, 4], [-6, -4, 6, 4]])
    whole, outside = regions.inside(chosen, boxes, 12)
    expected = regions.members[2][regions.ids].repeat_interleave(3, 0).repeat_interleave(2, 1)
    assert torch.equal(whole, expected)
    assert not outside[:6].any()
    assert not outside[:, :6].any()
    assert outside.sum() == 9  # a quarter of the lower right quarter of 6 x 6 points


def test_sixteen_of_227_pixels_lie_around_the_box() -> None:
    box = torch.tensor([[10.0, 20, 205, 117.5]])
    x0, y0, x1, y1 = _with_context(box)[0].tolist()
    assert (x0, y0, x1, y1) == pytest.approx((10 - 16, 20 - 8, 205 + 16, 117.5 + 8))  # 195 of 227 are the box's
    assert pytest.approx(16 / 227) == CONTEXT


def test_both_crops_and_both_networks_written_out() -> None:
    network = tiny().eval()
    image, regions = torch.rand(3, 67, 67), quarters()
    regions = Regions(
        regions.ids.repeat_interleave(17, 0).repeat_interleave(12, 1)[:67, :67], regions.members, regions.boxes_xyxy
    )
    side = 67 * (1 - 2 * CONTEXT)
    boxes = torch.tensor([[(67 - side) / 2] * 2 + [(67 + side) / 2] * 2]).expand(3, 4)  # with context, the image as it is
    seen = []
    network.box_net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.region_net.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        scores = network.classify(image, Regions(regions.ids, regions.members, boxes), torch.tensor([1, 2]))
        torch.testing.assert_close(
            seen[0],
            F.avg_pool2d(F.interpolate(image[None], scale_factor=2, mode="bilinear"), 2).expand(2, -1, -1, -1),
            atol=1e-4,
            rtol=0,
        )
        alone = regions.members[torch.tensor([1, 2])][:, regions.ids]
        assert torch.equal(seen[1], seen[0] * alone[:, None])
        joined = torch.cat([network.box_net(seen[0]), network.region_net(seen[1])], 1)
        torch.testing.assert_close(scores, F.linear(joined, network.score.weight, network.score.bias))


def test_labels_of_regions() -> None:
    masks = torch.zeros(2, 4, 6, dtype=torch.uint8)
    masks[0, :2, :3] = masks[1, :2, 3:5] = 1
    network = tiny(positive_iou=0.6)
    nobody = torch.zeros(0, 4)
    objects = Objects(torch.tensor([[3.0, 0, 5, 2], [0, 0, 3, 2]]), torch.tensor([2, 1]), torch.tensor([1, 0]), nobody)
    assert network._labels(quarters(), objects, masks).tolist() == [1, 2, 0]
    crowd = Objects(nobody, torch.zeros(0).long(), torch.zeros(0).long(), torch.tensor([[0.0, 0, 3, 4]]))
    assert network._labels(quarters(), crowd, masks).tolist() == [-1, 0, 0]


def test_a_quarter_of_the_sample_is_positive_and_crowds_are_left_out() -> None:
    label = torch.tensor([1] * 30 + [0] * 50 + [-1] * 20)
    chosen = _sample(label, 16)
    assert label[chosen].tolist() == [1] * 4 + [0] * 12
    assert len(_sample(label, 200)) == 80
    assert label[_sample(torch.zeros(5).long(), 16)].shape == (5,)
    assert len(_sample(torch.full((5,), -1), 16)) == 0


def test_suppression_keeps_what_only_the_suppressed_overlap() -> None:
    iou = torch.tensor([[1, 0.5, 0.1], [0.5, 1, 0.6], [0.1, 0.6, 1]])
    assert _unsuppressed(iou, 0.3).tolist() == [0, 2]
    assert _unsuppressed(iou, 0.5).tolist() == [0, 1]
    assert _unsuppressed(iou[:0, :0], 0.3).tolist() == []


def test_boxes_are_those_of_the_masks() -> None:
    torch.manual_seed(0)
    image = F.interpolate(torch.rand(1, 3, 5, 6), (40, 60), mode="nearest")[0]
    regions = _propose(image, {"scale": 50.0, "sigma": 0.5, "min_size": 10, "limit": 100})
    for members, box in zip(regions.members, regions.boxes_xyxy.tolist(), strict=True):
        rows, columns = torch.where(members[regions.ids])
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def learnt() -> tuple[SDS, Output, Instances]:
    ids = np.zeros((64, 80), np.int32)
    ids[8:30, 8:30], ids[34:58, 40:64] = 1, 2
    rows, columns = np.mgrid[:64, :80]
    ids[(rows - 20) ** 2 + (columns - 55) ** 2 < 100] = 3
    truth = Instances.from_ids(ids, CELLS, {1: 2, 2: 2, 3: 1})
    noise = 0.05 * np.random.default_rng(0).normal(size=(3, 64, 80))
    image = (np.float32([0, 1, 0.7, 0.8])[ids] + noise).astype(np.float32)
    sample = PreparedSample(image, None, "a", (64, 80), make_targets(SDS.TARGETS, truth), truth)
    batch = collate([sample])
    network = tiny(dropout=0.0, hidden=64, regions=32).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        region_classes_loss(network(batch.image, batch.targets), batch.targets)["class"].backward()
        optimizer.step()
    with torch.no_grad():
        return network, network.eval()(batch.image), truth


def test_learns_which_regions_are_objects() -> None:
    _, output, truth = learnt()
    masks, class_index, score = decode_paste_masks(*arrays_of_image(output, 0), (64, 80), min_score=0.5)
    assert sorted(class_index.tolist()) == [0, 1, 1]
    assert score.min() > 0.5
    for index in range(3):
        found = masks.mask(index)
        overlaps = [(found & truth.masks.mask(i)).sum() / (found | truth.masks.mask(i)).sum() for i in range(3)]
        assert max(overlaps) > 0.7
        assert truth.class_id[int(np.argmax(overlaps))] == class_index[index] + 1


def test_recipe() -> None:
    (stage,) = load_recipe("sds").stages
    assert (stage.optimizer, stage.lr, stage.weight_decay) == ("sgd", 1e-3, 5e-4)
    assert stage.batch * stage.options["regions"] == 128
    with torch.device("meta"):
        assert SDS(num_classes=20, **{k: v for k, v in stage.options.items() if k != "regions"}).imagenet == "alexnet"
