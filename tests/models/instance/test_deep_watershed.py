from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import ClassSpace, Instances, SettingsError
from intarsia.data.targets import make_targets
from intarsia.losses.direction_and_energy import direction_and_energy_loss
from intarsia.models import create_model
from intarsia.models.instance.deep_watershed import DeepWatershed
from intarsia.postprocess.watershed_cuts import decode_watershed_cuts
from intarsia.recipes import load_recipe

CELLS = ClassSpace.from_names(["background", "a", "b"])


def tiny(**others: Any) -> DeepWatershed:
    torch.manual_seed(0)
    return DeepWatershed(**{"num_classes": 2, **DeepWatershed.TINY, **others})


def scene() -> tuple[Tensor, dict[str, Tensor]]:
    """Two discs that touch and one apart, in shades of their classes, with a batch axis."""
    rows, columns = np.mgrid[:48, :80]
    ids = np.zeros((48, 80), np.int32)
    for number, (row, column, radius) in enumerate([(24, 18, 14), (24, 46, 14), (14, 68, 10)], 1):
        ids[np.hypot(rows - row, columns - column) <= radius] = number
    truth = Instances.from_ids(ids, CELLS, {1: 1, 2: 1, 3: 2})
    targets = {name: torch.from_numpy(value)[None] for name, value in make_targets(DeepWatershed.TARGETS, truth).items()}
    shade = torch.tensor([-1.0, 0.5, 1.5])[targets["thing_label"].long()]
    return shade[:, None].repeat(1, 3, 1, 1), targets


def parameters(module: torch.nn.Module, kind: type[torch.nn.Module]) -> int:
    return sum(p.numel() for m in module.modules() if isinstance(m, kind) for p in m.parameters())


def test_parameters_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        network = DeepWatershed(num_classes=8, semantic="given")
    assert parameters(network.direction_net, torch.nn.Conv2d) == 31_039_106
    assert parameters(network.direction_net, torch.nn.ConvTranspose2d) == 256 * 256 * (8 * 8 + 4 * 4) + 2 * 2 * 8 * 8
    assert parameters(network.watershed_net, torch.nn.Conv2d) == 1_865_680
    assert parameters(network.watershed_net, torch.nn.ConvTranspose2d) == 16 * 16 * 8 * 8


def test_codes_of_eight_classes_are_the_papers_in_units_of_64_grey_levels() -> None:
    codes = tiny(num_classes=8).codes
    assert (64 * codes).tolist() == [0, -128, -96, -64, -32, 32, 64, 96, 128]
    assert tiny(num_classes=1).codes.tolist() == [0, 2]


def test_what_is_outside_of_the_given_classes_is_not_seen() -> None:
    network = tiny(semantic="given").eval()
    image, targets = scene()
    outside = targets["thing_label"] == 0
    with torch.no_grad():
        output = network(image, targets)
        changed = network(image + 9 * outside[:, None], targets)
        other = network(image, {"thing_label": torch.where(targets["thing_label"] == 1, 2, targets["thing_label"])})
    assert torch.equal(output.logits, changed.logits)
    assert not torch.equal(output.parts["direction"], other.parts["direction"])  # the code of the class is
    length = output.parts["direction"].norm(dim=1)
    torch.testing.assert_close(length, (~outside).float())
    assert output.parts["gate"].argmax(1).equal(targets["thing_label"].long())


def test_learnt_classes_are_the_gate_and_the_truth_is_in_training_only() -> None:
    network = tiny(dropout=0.0)
    image, targets = scene()
    with torch.no_grad():
        trained, evaluated = network.train()(image, targets), network.eval()(image, targets)
    assert trained.parts["gate"].argmax(1).equal(targets["thing_label"].long())
    assert evaluated.parts["gate"].equal(evaluated.parts["semantic"].softmax(1))
    inside = evaluated.parts["gate"].argmax(1) > 0
    torch.testing.assert_close(evaluated.parts["direction"].norm(dim=1), inside.float())


def test_true_directions_replace_the_predicted_in_training_only() -> None:
    image, targets = scene()
    network = tiny(directions="true", dropout=0.0)
    padded = F.pad(targets["direction"], (0, 0, 0, 0))
    with torch.no_grad():
        assert torch.equal(network.train()(image, targets).logits, network.watershed_net(padded))
        output = network.eval()(image, targets)
        assert torch.equal(output.logits, network.watershed_net(output.parts["direction"]))


def test_pools_average_from_the_third_on() -> None:
    network = tiny().eval()
    trunk, image = network.direction_net.trunk, torch.randn(1, 3, 32, 32)
    maps: list[Tensor] = []
    for branch in network.direction_net.branches:
        branch.register_forward_pre_hook(lambda _module, inputs: maps.append(inputs[0]))
    with torch.no_grad():
        network(image)
        x = image
        for index, stage in enumerate(trunk.stages):
            pool = (None, F.max_pool2d, F.max_pool2d, F.avg_pool2d, F.avg_pool2d)[index]
            x = stage[:-1](pool(x, 2) if pool else x)
            if index >= 2:
                torch.testing.assert_close(maps[index - 2], x)
    assert [x.shape[-1] for x in maps] == [8, 4, 2]


def test_learns_the_discs() -> None:
    """In the paper's three stages, and decodes what it has learnt into three objects."""
    image, targets = scene()
    network = tiny(dropout=0.0).train()

    def learn(steps: int, directions: str, lr: float, **weights: float) -> None:
        network.directions = directions
        optimizer = torch.optim.Adam(network.parameters(), lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            terms = direction_and_energy_loss(network(image, targets), targets, **weights)
            torch.stack(list(terms.values())).sum().backward()
            optimizer.step()

    learn(50, "predicted", 2e-3, energy=0)
    learn(50, "true", 3e-3, direction=0, semantic=0)
    learn(20, "predicted", 1e-3)
    with torch.no_grad():
        output = network.eval()(image)
    parts = {name: part[0].numpy() for name, part in output.parts.items()}
    masks, class_index, score = decode_watershed_cuts(output.logits[0].numpy(), parts, (48, 80), grow=2)
    assert sorted(class_index.tolist()) == [0, 0, 1]
    assert score.min() > 0.3
    label = targets["thing_label"][0].numpy()
    assert sum((masks.mask(i) & (label == class_index[i] + 1)).sum() for i in range(3)) > 0.8 * (label > 0).sum()


def test_given_classes_that_are_not_given() -> None:
    with pytest.raises(SettingsError, match="semantic='given', and no classes were given: name what finds them by --semantic"):
        tiny(semantic="given").eval()(torch.rand(1, 3, 16, 16))


def test_imagenet_weights_are_vgg_s() -> None:
    with torch.device("meta"):
        assert DeepWatershed(num_classes=1).imagenet == "vgg16.tv_in1k"
    assert create_model("deep_watershed", num_classes=2, **DeepWatershed.TINY).imagenet is None


def test_recipes_are_staged() -> None:
    first, second, third = load_recipe("deep_watershed").stages
    assert [(stage.lr, stage.batch, stage.weight_decay) for stage in (first, second, third)] == [
        (1e-5, 4, 1e-5),
        (5e-4, 6, 1e-6),
        (5e-6, 3, 1e-6),
    ]
    assert all(stage.options["semantic"] == "given" for stage in (first, second, third))
    assert (second.options["directions"], second.frozen) == ("true", ("direction_net.",))
    assert [stage.init for stage in load_recipe("deep_watershed_learnt").stages] == [None, "previous", "previous"]
