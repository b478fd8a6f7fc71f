import numpy as np
import pytest
import torch
from torch.nn import functional as F

from intarsia.core import ClassSpace, Instances, SettingsError
from intarsia.data.targets import make_targets
from intarsia.losses.pairs_and_seeds import pairs_and_seeds_loss
from intarsia.models import create_model
from intarsia.models.instance.metric_learning import MetricLearning
from intarsia.postprocess.grown_masks import seediness, similarity_to
from intarsia.recipes import load_recipe

CELLS = ClassSpace.from_names(["background", "round", "square"])


def tiny(**others: object) -> MetricLearning:
    torch.manual_seed(0)
    return create_model("metric_learning", **{"num_classes": 2, **MetricLearning.TINY, **others})


def test_parameters_at_full_size() -> None:
    """ResNet-101 and, for each of four sizes, 1x1 convolutions to 64 and 4 x 21 channels; one bias for all."""
    with torch.device("meta"):
        network = create_model("metric_learning", num_classes=20)
    assert sum(parameter.numel() for parameter in network.parameters()) == 42_500_160 + 4 * 2048 * 148 + 148


def test_embedding_and_scores_at_the_size_of_the_image() -> None:
    network = tiny(num_classes=3, coordinates=True).eval()
    for size in [(1, 1), (33, 47)]:
        output = network(torch.rand(2, 3, *size))
        assert output.logits.shape == (2, 16, *size)
        assert output.parts["seed_scores"].shape == (2, 4 * 4, *size)
        assert output.parts["bandwidths"].tolist() == pytest.approx([0.25, 0.5, 0.75, 0.9])


def test_a_convolution_over_the_features_of_all_sizes_side_by_side() -> None:
    network = tiny().eval()
    image = torch.rand(1, 3, 33, 65)
    sizes = [(9, 17), (17, 33), (33, 65), (65, 129)]
    with torch.no_grad():
        features = [network.encoder(F.interpolate(image, size, mode="bilinear", align_corners=True))[-1] for size in sizes]
        assert [tuple(x.shape[-2:]) for x in features] == [(2, 3), (3, 5), (5, 9), (9, 17)]  # stride 8; the finest 4 of the image
        side_by_side = torch.cat([F.interpolate(x, (9, 17), mode="bilinear", align_corners=True) for x in features], 1)
        scores = F.conv2d(side_by_side, torch.cat([head.weight for head in network.heads], 1), network.heads[0].bias)
        scores = F.interpolate(scores, (33, 65), mode="bilinear", align_corners=True)
        output = network(image)
    torch.testing.assert_close(torch.cat([output.logits, output.parts["seed_scores"]], 1), scores, atol=1e-5, rtol=1e-4)


def test_coordinates_tell_equal_objects_apart() -> None:
    """Of an image that repeats, the embedding repeats; with coordinates it moves on by the same amount each time."""
    tile = torch.rand(1, 3, 32, 32)
    image = tile.repeat(1, 1, 1, 9)
    middle = [slice(96 + 32 * step, 128 + 32 * step) for step in range(3)]
    for coordinates in (False, True):
        network = tiny(form="pyramid", coordinates=coordinates).eval()
        with torch.no_grad():
            embedding = network(image).logits
        first, second, third = (embedding[..., 12:20, columns] for columns in middle)
        moved = (second - first).abs().max() > 0.1
        assert moved == coordinates
        torch.testing.assert_close(third - second, second - first, atol=0.05, rtol=0.05)


def test_learns_two_of_a_kind_that_touch() -> None:
    torch.manual_seed(0)
    ids = np.zeros((32, 48), np.int32)
    ids[8:20, 4:16], ids[8:20, 16:28] = 1, 2
    rows, columns = np.mgrid[:32, :48]
    ids[(rows - 20) ** 2 + (columns - 38) ** 2 < 36] = 3
    truth = Instances.from_ids(ids, CELLS, {1: 2, 2: 2, 3: 1})
    targets = {name: torch.from_numpy(value)[None] for name, value in make_targets(MetricLearning.TARGETS, truth).items()}
    image = torch.from_numpy(np.float32([0, 1, 1, 0.5])[ids])[None, None] + 0.1 * torch.randn(1, 1, 32, 48)
    network = tiny(in_channels=1, form="pyramid", coordinates=True, embedding=8).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        output = network(image)
        terms = pairs_and_seeds_loss(output, targets, samples=20, seeds=60, seed_weight=1.0)
        loss = terms["pairs"] + terms["seeds"]
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:5])
    vectors, scores = (x[0].detach().numpy() for x in (output.logits, output.parts["seed_scores"]))
    score, bandwidth, class_index = seediness(scores, output.parts["bandwidths"].numpy())
    for number, seed, expected in [(1, (14, 9), 1), (2, (14, 21), 1), (3, (20, 38), 0)]:
        assert (class_index[seed], score[seed] > 0.5) == (expected, True)
        found = similarity_to(vectors.reshape(8, -1), 48 * seed[0] + seed[1]).reshape(32, 48) >= bandwidth[seed]
        assert (found & (ids == number)).sum() / (found | (ids == number)).sum() > 0.7


def test_frozen_norm() -> None:
    network = tiny(frozen_norm=True).train()
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


def test_recipe() -> None:
    pairs, both = load_recipe("metric_learning").stages
    assert (pairs.loss_options, both.loss_options) == ({"seed_weight": 0.0}, {"seed_weight": 0.2})
    assert (pairs.encoder, both.init, both.lr) == ("resnet101", "previous", 1e-4)


def test_errors() -> None:
    with pytest.raises(SettingsError, match=r"bandwidths \(0.5, 1.0\) were given"):
        tiny(bandwidths=(0.5, 1.0))
    with pytest.raises(SettingsError, match=r"scales \(\) and"):
        tiny(scales=())
