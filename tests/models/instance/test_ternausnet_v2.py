import numpy as np
import pytest
import torch
from torch.nn import functional as F

from intarsia.core import ClassSpace, Instances
from intarsia.data.targets import make_targets
from intarsia.losses.objects_and_borders import objects_and_borders_loss
from intarsia.models.instance.ternausnet_v2 import TernausNetV2
from intarsia.postprocess.border_watershed import decode_border_watershed
from intarsia.recipes import load_recipe

CELLS = ClassSpace.from_names(["background", "round", "square"])


def tiny(**others: int) -> TernausNetV2:
    torch.manual_seed(0)
    return TernausNetV2(**{"num_classes": 2, **TernausNetV2.TINY, **others})


def test_parameters_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = TernausNetV2(num_classes=1, in_channels=11)
    assert sum(parameter.numel() for parameter in network.parameters()) == 67_203_714


def test_one_channel_for_each_class_and_one_for_borders_at_the_size_of_the_image() -> None:
    network = tiny(num_classes=3, in_channels=11).eval()
    for size in [(1, 1), (33, 47), (64, 32)]:
        assert network(torch.rand(2, 11, *size)).logits.shape == (2, 4, *size)


def test_the_decoder_written_out() -> None:
    network = tiny().eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = network.encoder(image)
        x = F.max_pool2d(features[4], 2)
        assert x.shape[-2:] == (2, 2)
        for decode, feature in zip(network.decoders, reversed(features), strict=True):
            x = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
            x = F.conv2d(x, decode[1].weight, decode[1].bias, padding=1).relu()
            x = F.conv2d(x, decode[3].weight, decode[3].bias, padding=1).relu()
            x = torch.cat([x, feature], 1)
        x = F.conv2d(x, network.last[0].weight, network.last[0].bias, padding=1).relu()
        expected = F.conv2d(x, network.score.weight, network.score.bias)
        torch.testing.assert_close(network(image).logits, expected)


def test_learns_objects_that_touch() -> None:
    """Two squares side by side in one shade, and a darker disc: the border has to be found from the shape."""
    ids = np.zeros((32, 48), np.int32)
    ids[8:20, 4:16], ids[8:20, 16:28] = 1, 2
    rows, columns = np.mgrid[:32, :48]
    ids[(rows - 20) ** 2 + (columns - 38) ** 2 < 36] = 3
    truth = Instances.from_ids(ids, CELLS, {1: 2, 2: 2, 3: 1})
    targets = {name: torch.from_numpy(value)[None] for name, value in make_targets(TernausNetV2.TARGETS, truth).items()}
    image = torch.from_numpy(np.float32([0, 1, 1, 0.5])[ids])[None, None] + 0.1 * torch.randn(1, 1, 32, 48)
    network = tiny(in_channels=1, width=8, channels=8).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(90):
        optimizer.zero_grad()
        output = network(image)
        torch.stack(list(objects_and_borders_loss(output, targets).values())).sum().backward()
        optimizer.step()
    masks, class_index, score = decode_border_watershed(output.logits[0].detach().numpy(), {}, (32, 48))
    assert sorted(class_index.tolist()) == [0, 1, 1]
    assert score.min() > 0.5
    for index in range(3):
        found = masks.mask(index)
        number = np.bincount(ids[found]).argmax()
        assert (found & (ids == number)).sum() / (found | (ids == number)).sum() > 0.8


def test_recipe() -> None:
    (stage,) = load_recipe("ternausnet_v2").stages
    assert (stage.optimizer, stage.lr, stage.crop, stage.schedule) == ("adam", 1e-4, (384, 384), "constant")
    assert stage.loss_options == {"balance": pytest.approx(0.7)}
