from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.semantic_fpn import SemanticFPN
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(encoder: str = "test_resnet", output_stride: int = 32, **options: Any) -> SemanticFPN:
    torch.manual_seed(0)
    made = create_encoder(encoder, output_stride=output_stride)
    return SemanticFPN(encoder=made, num_classes=3, **{"channels": 8, "head_channels": 64, **options}).eval()


def branch_sizes(network: SemanticFPN, image: Tensor) -> dict[str, list[tuple[int, ...]]]:
    """Heights and widths of the branches' inputs and outputs."""
    sizes: dict[str, list[tuple[int, ...]]] = {"in": [], "out": []}

    def note(_module: nn.Module, inputs: Any, output: Tensor) -> None:
        sizes["in"].append(tuple(inputs[0].shape[-2:]))
        sizes["out"].append(tuple(output.shape[-2:]))

    for branch in network.head.branches:
        branch.register_forward_hook(note)
    with torch.no_grad():
        network(image)
    return sizes


@pytest.mark.parametrize(("encoder", "count"), [("resnet50", 28_478_675), ("resnet101", 47_470_803)])
def test_parameters(encoder: str, count: int) -> None:
    with torch.device("meta"):
        network = create_model("semantic_fpn", num_classes=19, encoder=encoder)
    assert sum(p.numel() for p in network.parameters()) == count
    assert sum(p.numel() for p in network.get_submodule("pyramid").parameters()) == 3_344_384
    assert sum(p.numel() for p in network.get_submodule("head.branches").parameters()) == 1_623_808


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 47)])
def test_all_maps_have_one_size_before_the_sum(size: tuple[int, int]) -> None:
    sizes = branch_sizes(small(), torch.rand(1, 3, *size))
    assert sizes["in"] == [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]
    assert len(set(sizes["out"])) == 1
    assert sizes["out"][0] == sizes["in"][0]


def test_convolutions_and_steps_by_level() -> None:
    branches = small().head.branches
    assert [len(branch.convs) for branch in branches] == [1, 1, 2, 3]
    assert [branch.strides for branch in branches] == [[], [4], [8, 4], [16, 8, 4]]


def test_the_coarsest_branch_written_out() -> None:
    branch = small().head.branches[3]
    x = torch.randn(1, 8, 2, 3)
    expected = x
    for conv in branch.convs:
        y = F.conv2d(expected, conv[0].weight, padding=1)
        groups = y.reshape(1, 32, -1)
        y = ((groups - groups.mean(2, keepdim=True)) / (groups.var(2, correction=0, keepdim=True) + 1e-5).sqrt()).reshape(y.shape)
        expected = F.interpolate(y.clamp(min=0), scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(branch(x, (64, 96)), expected)


def test_the_maps_are_summed() -> None:
    network = small()
    seen: list[Tensor] = []
    for branch in network.head.branches:
        branch.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    network.head.classify.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    network(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(seen[4], torch.stack(seen[:4]).sum(0))


def test_forms_of_figure_1() -> None:
    image = torch.rand(1, 3, 64, 96)
    assert branch_sizes(small(form="single_map"), image)["in"] == [(2, 3)]
    assert branch_sizes(small(form="hierarchy"), image)["in"] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    pyramid = branch_sizes(small(form="image_pyramid"), image)
    assert pyramid["in"] == [(4, 6), (2, 3), (1, 2)]
    assert pyramid["out"] == [(16, 24)] * 3


def test_only_the_pyramid_carries_meaning_down() -> None:
    """What the topmost map says reaches the finest branch in the FPN and not in the hierarchy."""
    for form, reaches in (("fpn", True), ("hierarchy", False)):
        network = small(form=form)
        seen: list[Tensor] = []
        network.head.branches[0].register_forward_hook(lambda _m, inputs, _o, seen=seen: seen.append(inputs[0]))
        image = torch.rand(1, 3, 64, 64)
        network(image)
        nn.init.ones_(network.pyramid.lateral[3].bias)
        network(image)
        assert torch.equal(seen[0], seen[1]) != reaches


def test_the_image_pyramid_shares_its_encoder_and_takes_half_sizes_of_any_image() -> None:
    network = small(form="image_pyramid")
    sizes: list[tuple[int, ...]] = []
    network.encoder.register_forward_hook(lambda _module, inputs, _output: sizes.append(tuple(inputs[0].shape[-2:])))
    assert network(torch.rand(1, 3, 33, 47)).logits.shape == (1, 3, 33, 47)
    assert sizes == [(68, 96), (34, 48), (17, 24)]


def test_the_perceptron_is_on_top_only() -> None:
    plain, more = small(), small(top_mlp=True)
    extra = sum(p.numel() for p in more.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == 8 * 8 + 8


def test_encoders_of_other_strides() -> None:
    for encoder, stride in (("test_resnet", 8), ("test_vit", 16), ("test_convnext", 32)):
        assert small(encoder, stride)(torch.rand(1, 3, 160, 160)).logits.shape == (1, 3, 160, 160)


def test_head_starts_from_he_by_outputs() -> None:
    torch.manual_seed(0)
    network = small(channels=32, head_channels=128)
    assert network.head.branches[3].convs[0][0].weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


def test_recipe() -> None:
    (stage,) = load_recipe("semantic_fpn").stages
    assert (stage.model, stage.batch, stage.steps, stage.crop) == ("semantic_fpn", 32, 65_000, (512, 1024))
    factor = learning_rate_factor(stage, 65_000)
    assert [factor(step) for step in (0, 39_999, 40_000, 54_999, 55_000)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    groups = make_optimizer(small().named_parameters(), stage).param_groups
    assert {group["lr"] for group in groups} == {0.01}
    assert factor(64_999) * 0.01 == pytest.approx(1e-4)
