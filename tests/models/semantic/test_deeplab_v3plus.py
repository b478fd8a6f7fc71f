from typing import Any

import pytest
import torch
from torch import Tensor

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.deeplab_v3plus import DeepLabV3Plus
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor


def small(output_stride: int = 16, encoder: str = "test_resnet", **options: Any) -> DeepLabV3Plus:
    torch.manual_seed(0)
    made = create_encoder(encoder, output_stride=output_stride)
    return DeepLabV3Plus(encoder=made, num_classes=3, **{"channels": 8, "low_level_channels": 4, **options}).eval()


@pytest.mark.parametrize(
    ("encoder", "separable", "count"),
    [("resnet101", False, 59_344_309), ("resnet50", False, 40_352_181), ("resnet101", True, 45_688_261)],
)
def test_parameters(encoder: str, separable: bool, count: int) -> None:
    with torch.device("meta"):
        network = create_model("deeplab_v3plus", num_classes=21, encoder=encoder, separable=separable)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(("output_stride", "rates"), [(16, [6, 12, 18]), (8, [12, 24, 36]), (32, [3, 6, 9])])
def test_rates_follow_the_output_stride(output_stride: int, rates: list[int]) -> None:
    branches = small(output_stride, separable=False).aspp.branches
    assert [branch[0].dilation[0] for branch in list(branches)[1:4]] == rates


def test_one_state_dict_serves_output_strides_16_and_8() -> None:
    coarse, fine = small(16), small(8)
    fine.load_state_dict(coarse.state_dict())
    image = torch.rand(1, 3, 65, 97)
    assert coarse.encoder(image)[-1].shape[-2:] == (5, 7)
    assert fine.encoder(image)[-1].shape[-2:] == (9, 13)
    assert fine(image).logits.shape == coarse(image).logits.shape == (1, 3, 65, 97)


def test_shapes_of_figure_2() -> None:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        return lambda _module, inputs, output: shapes.update({name: (inputs[0].shape[1], *output.shape[1:])})

    with torch.device("meta"):
        network = create_model("deeplab_v3plus", num_classes=21)
        for name in ("aspp.project", "reduce", "refine", "classify"):
            network.get_submodule(name).register_forward_hook(note(name))
        network(torch.empty(2, 3, 512, 512))
    assert shapes == {
        "aspp.project": (1280, 256, 32, 32),
        "reduce": (256, 48, 128, 128),
        "refine": (304, 256, 128, 128),
        "classify": (256, 21, 128, 128),
    }


def test_the_decoder_reads_the_first_feature_of_stride_4() -> None:
    seen: list[Tensor] = []
    network = small()
    network.reduce.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    image = torch.rand(1, 3, 64, 64)
    network(image)
    assert torch.equal(seen[0], network.encoder(image)[1])


def test_a_batch_of_one_image_trains() -> None:
    network = small().train()
    logits = network(torch.rand(1, 3, 64, 64)).logits
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_an_encoder_that_rounds_down_sees_the_whole_image() -> None:
    """test_convnext drops what is left of 32 pixels; the image is grown first, so its last row still counts."""
    network = small(32, "test_convnext")
    image = torch.rand(1, 3, 33, 40, requires_grad=True)
    logits = network(image).logits
    assert logits.shape == (1, 3, 33, 40)
    logits.sum().backward()
    assert image.grad is not None
    assert image.grad[..., -1, :].any()


def test_corners_may_be_aligned_as_in_the_paper() -> None:
    aligned, centred = small(align_corners=True), small()
    aligned.load_state_dict(centred.state_dict())
    torch.nn.init.normal_(aligned.classify.weight)
    centred.load_state_dict(aligned.state_dict())
    image = torch.rand(1, 3, 65, 65)
    assert not torch.allclose(aligned(image).logits, centred(image).logits)


def test_an_encoder_without_stride_4_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"joins a feature of stride 4, and this encoder has strides 16, 16, 16"):
        small(16, "test_vit")


def test_recipe() -> None:
    (stage,) = load_recipe("deeplab_v3plus").stages
    assert (stage.encoder, stage.output_stride, stage.crop, stage.weight_decay) == ("xception_aligned", 16, (513, 513), 4e-5)
    factor = learning_rate_factor(stage, 30_000)
    assert stage.lr * factor(0) == 7e-3
    assert stage.lr * factor(29_999) == pytest.approx(7e-3 * (1 / 30_000) ** 0.9)
