from typing import Any

import pytest
import torch
from torch import nn

from intarsia.models.semantic.edeconvnet import EDeconvNet
from intarsia.recipes import load_recipe


def small(classes: int = 3, **options: Any) -> EDeconvNet:
    torch.manual_seed(0)
    network = EDeconvNet(num_classes=classes, width=2, fc_channels=8, window=64, padding="same", **options)
    for member in (network.deconvnet, network.fcn):
        for name, parameter in member.named_parameters():
            if "score" in name:
                nn.init.normal_(parameter, std=3.0)
    return network.eval()


def test_parameters() -> None:
    with torch.device("meta"):
        network = EDeconvNet(num_classes=21)
    assert sum(p.numel() for p in network.parameters()) == 251_805_653 + 134_362_751
    assert network.imagenet == "vgg16.tv_in1k"


def test_the_mean_of_the_probabilities() -> None:
    network, image = small(), torch.rand(2, 3, 40, 70)
    drawn, seen = (member(image).logits.softmax(1) for member in (network.deconvnet, network.fcn))
    torch.testing.assert_close(network(image).logits.softmax(1), (drawn + seen) / 2)
    assert not torch.equal(drawn.argmax(1), seen.argmax(1))


def test_a_single_class() -> None:
    network, image = small(classes=1), torch.rand(1, 3, 40, 70)
    drawn, seen = (member(image).logits.sigmoid() for member in (network.deconvnet, network.fcn))
    torch.testing.assert_close(network(image).logits.sigmoid(), (drawn + seen) / 2)


def test_the_product_of_the_scores() -> None:
    network, image = small(combine="product"), torch.rand(1, 3, 40, 70)
    drawn, seen = (member(image).logits.clamp_min(0) for member in (network.deconvnet, network.fcn))
    assert torch.equal(network(image).logits, drawn * seen)


def test_scores_beyond_any_probability_stay_finite() -> None:
    network = small()
    nn.init.constant_(network.deconvnet.score.bias, 1e4)
    nn.init.constant_(network.deconvnet.score.bias[:1], -1e4)
    nn.init.constant_(network.fcn.score.bias[:1], -1e4)
    network(torch.rand(2, 3, 64, 64)).logits.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_both_learn_each_by_itself() -> None:
    """The combination has no part in training: the gradients of either member are those of its own loss."""
    network, image = small().train(), torch.rand(2, 3, 64, 64)
    network.fcn.dropout.p = 0.0
    output = network(image)
    assert [(head.name, head.target, head.weight) for head in output.auxiliary] == [("fcn", "label", 1.0)]
    torch.testing.assert_close(output.logits, network.deconvnet(image).logits)
    torch.testing.assert_close(output.auxiliary[0].logits, network.fcn(image).logits)


@pytest.mark.parametrize("member", ["deconvnet", "fcn"])
def test_one_member_learns_and_the_other_stays(member: Any) -> None:
    network, image = small(learns=member).train(), torch.rand(2, 3, 64, 64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(image).logits.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == name.startswith(member), name
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert all(name.startswith(member) for name in moved), "running statistics of the other member stay as well"
    both = small()
    both.load_state_dict(network.eval().state_dict())
    assert torch.equal(network(image).logits, both(image).logits), "in evaluation both answer"


def test_the_recipe_trains_one_after_the_other() -> None:
    stages = load_recipe("edeconvnet").stages
    assert [stage.options["learns"] for stage in stages] == ["deconvnet"] * 2 + ["fcn"] * 3
    assert [stage.options["stride"] for stage in stages] == [32, 32, 32, 16, 8]
    assert [stage.frozen for stage in stages] == [("fcn.",)] * 2 + [("deconvnet.",)] * 3
    assert [stage.init for stage in stages] == [None] + ["previous"] * 4
    alone = load_recipe("deconvnet").stages
    for stage, same in zip(stages, alone, strict=False):
        assert (stage.lr, stage.milestones, stage.steps, stage.accumulate) == (
            same.lr,
            same.milestones,
            same.steps,
            same.accumulate,
        )
