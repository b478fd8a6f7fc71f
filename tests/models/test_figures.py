from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import segmentation as torchvision

from intarsia.core import SettingsError
from intarsia.models import ModelSpec, create_model
from intarsia.models import figures as room
from intarsia.models.figures import Layer, blocks, count_layers, figures
from intarsia.models.instance.mask_rcnn import MaskRCNN

TINY_RESNET = {"encoder": "test_resnet", "output_stride": 8}


def test_a_stack_of_convolutions_by_hand() -> None:
    """Seven of 3x3 on 8 maps after one on 3 channels, and a score: two operations for each weight and pixel."""
    whole, *layers = count_layers(ModelSpec("full_resolution_stack", 4, options={"width": 8}), (20, 30))
    weights = 3 * 9 * 8 + 7 * 8 * 9 * 8 + 8 * 4
    assert whole["flops"] == 2 * weights * 20 * 30
    norms_and_bias = 8 * 2 * 8 + 4
    assert whole["parameters"] == weights + norms_and_bias
    assert (whole["name"], whole["kind"], whole["output"]) == ("", "FullResolutionStack", None)
    score = layers[-1]
    assert (score["kind"], score["output"], score["parameters"]) == ("Conv2d", (4, 20, 30), 36)
    assert score["flops"] == 2 * 8 * 4 * 600


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("fcn_dilated", {}, torchvision.FCN_ResNet50_Weights.DEFAULT),
        (
            "deeplab_v3",
            {"multi_grid": (), "head_conv": True, "auxiliary": True, "align_corners": False, "dropout": 0.5},
            torchvision.DeepLabV3_ResNet50_Weights.DEFAULT,
        ),
    ],
)
def test_counts_are_those_that_torchvision_publishes(name: str, options: dict[str, Any], published: Any) -> None:
    """In thousand millions of multiplications with their additions, at 520 x 520."""
    spec = ModelSpec(name, 21, encoder="resnet50", output_stride=8, options=options)
    whole = count_layers(spec, (520, 520))[0]
    assert whole["parameters"] == published.meta["num_params"]
    assert whole["flops"] / 2e9 == pytest.approx(published.meta["_ops"], abs=5e-4)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("unet", {"options": {"width": 8, "depth": 3}}),
        ("linknet", {"encoder": "test_resnet"}),
        ("segnet", {"options": {"width": 8}}),
    ],
)
def test_convolutions_counted_one_by_one(name: str, given: dict[str, Any]) -> None:
    """Each weight takes part once for each pixel that a convolution makes, or that a transposed one reads."""
    network = create_model(name, num_classes=4, encoder=given.get("encoder"), **given.get("options", {})).eval()
    counted = 0

    def count(module: nn.Module, arguments: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        nonlocal counted
        pixels = (arguments[0] if isinstance(module, nn.ConvTranspose2d) else made)[0, 0].numel()
        counted += 2 * module.get_parameter("weight").numel() * pixels

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 3, 40, 56))
    whole = count_layers(ModelSpec(name, 4, **given), (40, 56))[0]
    assert whole["flops"] == counted > 0
    assert whole["parameters"] == sum(parameter.numel() for parameter in network.parameters())


def test_attention_counts() -> None:
    """Two products, for the weights and for the weighted sums: of all pixels with all, and of all channels with all."""
    layers = count_layers(ModelSpec("danet", 4, **TINY_RESNET, options={"channels": 32}), (64, 64))
    rows = {row["kind"]: row for row in layers}
    channels, height, width = rows["ChannelAttention"]["output"] or (0, 0, 0)
    pixels = height * width
    assert pixels == 9 * 9  # one more than 64 / 8
    assert rows["ChannelAttention"]["flops"] == 2 * (2 * channels * channels * pixels)
    projections = 2 * pixels * channels * (channels // 8 + channels // 8 + channels)
    assert rows["PositionAttention"]["flops"] == 2 * pixels * pixels * (channels // 8 + channels) + projections


def test_blocks_add_up_and_are_few() -> None:
    layers = count_layers(ModelSpec("pspnet", 4, **TINY_RESNET), (64, 64))
    for most in (3, 10, 30, 1000):
        cut = blocks(layers, most)
        assert len(cut) <= max(most, 5) + 1
        for count in ("parameters", "flops"):
            assert sum(row[count] for row in cut) == layers[0][count]
    assert len(blocks(layers, 30)) < len(blocks(layers, 1000)) < len(layers)


def test_what_lies_between_the_blocks_is_a_row() -> None:
    def row(name: str, parameters: int, flops: int) -> Layer:
        return {"name": name, "kind": "Conv2d", "output": None, "parameters": parameters, "flops": flops}

    layers = [row("", 10, 100), row("a", 6, 60), row("a.b", 5, 50), row("a.c", 0, 0), row("d", 3, 30)]
    names = [(found["name"], found["parameters"], found["flops"]) for found in blocks(layers)]
    assert names == [("a.b", 5, 50), ("d", 3, 30), ("in between", 2, 20)]
    assert [found["name"] for found in blocks(layers, most=1)] == ["a", "d", "in between"]


@pytest.mark.parametrize(
    ("name", "given", "strides"),
    [
        ("fcn", {"options": {"width": 8, "fc_channels": 16, "stride": 32}}, (32, 32)),
        ("fcn", {"options": {"width": 8, "fc_channels": 16, "stride": 16}}, (16, 32)),
        ("fcn", {"options": {"width": 8, "fc_channels": 16}}, (8, 32)),
        ("unet", {"options": {"width": 8}}, (1, 16)),
        ("unet", {"options": {"width": 8, "padding": "valid"}}, (1, 16)),
        ("segnet_basic", {"options": {"width": 8}}, (1, 16)),
        ("dilation", {"options": {"width": 8, "fc_channels": 16}}, (8, 8)),
        ("pspnet", TINY_RESNET, (8, 8)),
        ("deeplab_v3plus", {"encoder": "test_resnet", "output_stride": 16}, (4, 16)),
        ("hypercolumns", {"options": {"width": 24, "fc_channels": 32, "form": "box"}}, (None, 1)),
        ("full_resolution_stack", {"options": {"width": 8}}, (1, 1)),
    ],
)
def test_strides_are_the_papers(name: str, given: dict[str, Any], strides: tuple[int | None, int]) -> None:
    found, _ = figures(ModelSpec(name, 4, **given), (64, 64))
    assert (found["output_stride"], found["coarsest_stride"]) == strides


def test_all_figures_of_one_network() -> None:
    found, layers = figures(ModelSpec("segnet_basic", 11), (360, 480))
    assert found["parameters"] == layers[0]["parameters"] == 1_416_587
    assert found["flops"] == layers[0]["flops"]
    assert found["receptive_field"] == (186, 202)
    assert figures(ModelSpec("segnet_basic", 11, in_channels=1), (360, 480))[0]["flops"] < found["flops"]


def test_fields_without_end_and_fields_that_cannot_be_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec("pspnet", 4, **TINY_RESNET)
    assert figures(spec, (64, 64))[0]["receptive_field"] == "whole image"

    def fail(*_arguments: Any) -> None:
        raise SettingsError("an operation that is not known")

    monkeypatch.setattr(room, "receptive_field", fail)
    assert figures(spec, (64, 64))[0]["receptive_field"] is None


def test_what_depends_on_the_regions_found_is_not_counted() -> None:
    """Layers in front of them are: of the pyramid and the proposals, at every place of every map."""
    options = MaskRCNN.TINY | {"channels": 8}
    spec = ModelSpec("mask_rcnn", 4, encoder=options.pop("encoder"), options=options)
    found, layers = figures(spec, (64, 64))
    assert found["parameters"] == sum(parameter.numel() for parameter in spec.build().parameters())
    assert [found[name] for name in ("flops", "output_stride", "coarsest_stride", "receptive_field")] == [None] * 4
    rows = {layer["name"]: layer for layer in layers}
    places = 16**2 + 8**2 + 4**2 + 2**2 + 1
    assert rows["detector.rpn.head"]["flops"] == 2 * places * (9 * 8 * 8 + 8 * 3 + 8 * 12)
    assert rows["fpn.layer_blocks"]["flops"] == 2 * (places - 1) * 9 * 8 * 8
    after = [row for name, row in rows.items() if name.startswith("detector.roi_heads.box_head")]
    assert [(row["flops"], row["output"]) for row in after] == [(None, None)] * len(after)
    cut = blocks(layers)
    assert sum(row["parameters"] for row in cut) == found["parameters"]
    assert {row["name"]: row["flops"] for row in cut}["detector.rpn.head"] == rows["detector.rpn.head"]["flops"]


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(SettingsError, match=r"kernel is 4; it must be odd"):
        count_layers(ModelSpec("gcn", 4, encoder="test_resnet", options={"kernel": 4}), (64, 64))
