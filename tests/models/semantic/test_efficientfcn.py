import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.efficientfcn import EfficientFCN, HolisticDecoder
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(encoder: str = "test_resnet", output_stride: int = 32) -> EfficientFCN:
    torch.manual_seed(0)
    made = create_encoder(encoder, output_stride=output_stride)
    return EfficientFCN(encoder=made, num_classes=3, codewords=5, channels=4).eval()


@pytest.mark.parametrize(
    ("encoder", "classes", "codewords", "count"),
    [
        ("resnet101", 59, 256, 50_173_051),
        ("resnet101", 21, 256, 50_134_101),
        ("resnet101", 150, 600, 51_738_646),
        ("resnet101s", 59, 256, 50_296_827),
    ],
)
def test_parameters(encoder: str, classes: int, codewords: int, count: int) -> None:
    with torch.device("meta"):
        network = create_model("efficientfcn", num_classes=classes, encoder=encoder, codewords=codewords)
    assert sum(p.numel() for p in network.parameters()) == count


def test_decoder_as_slow_loops() -> None:
    torch.manual_seed(0)
    decoder = HolisticDecoder(6, 4, 5).eval()
    coarse, fine = torch.randn(1, 6, 2, 3), torch.randn(1, 6, 4, 5)
    base, place, guide = decoder.base(coarse)[0], decoder.place(coarse)[0], decoder.guide(fine)
    codewords = []
    for k in range(5):
        weights = place[k].exp() / place[k].exp().sum()
        codewords.append(sum(weights[y, x] * base[:, y, x] for y in range(2) for x in range(3)))
    mean = sum(base[:, y, x] for y in range(2) for x in range(3)) / 6
    share = decoder.mix(guide + mean[None, :, None, None])[0]
    found = decoder(coarse, fine)
    for y in range(4):
        for x in range(5):
            mixed = sum(share[k, y, x] * codewords[k] for k in range(5)) / 5**0.5
            torch.testing.assert_close(found[0, :4, y, x], mixed)
    assert torch.equal(found[:, 4:], guide)


def test_in_an_image_without_detail_all_codewords_are_one() -> None:
    torch.manual_seed(0)
    decoder = HolisticDecoder(6, 4, 5).eval()
    feature = torch.randn(1, 6, 1, 1)
    column = decoder.base(feature)[0, :, 0, 0]
    share = decoder.mix(decoder.guide(feature) + column[None, :, None, None])[0, :, 0, 0]
    found = decoder(feature.expand(-1, -1, 3, 2), feature.expand(-1, -1, 6, 4))
    torch.testing.assert_close(found[0, :4, 5, 3], column * share.sum() / 5**0.5)


def test_both_maps_hold_the_three_features_at_one_size() -> None:
    network = small()
    seen: list[tuple[Tensor, ...]] = []
    network.decode.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs))
    image = torch.rand(1, 3, 65, 97)
    network(image)
    *_, c3, c4, c5 = network.encoder(image)
    m4, m5 = network.reduce4(c4), network.reduce5(c5)
    assert [tuple(x.shape) for x in seen[0]] == [(1, c3.shape[1] + 8, 3, 4), (1, c3.shape[1] + 8, 9, 13)]
    for joined, like in zip(seen[0], (c5, c3), strict=True):
        parts = [F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True) for x in (c3, m4, m5)]
        torch.testing.assert_close(joined, torch.cat(parts, 1))


def test_the_encoder_is_not_dilated() -> None:
    with torch.device("meta"):
        network = create_model("efficientfcn", num_classes=2)
    assert network.encoder.strides[-1] == 32
    with pytest.raises(SettingsError, match=r"strides 8, 16 and 32, and this encoder has strides 2, 4, 8, 8, 8"):
        small(output_stride=8)


def test_gradients_in_float64() -> None:
    torch.manual_seed(0)
    decoder = HolisticDecoder(2, 2, 2).double().eval()
    maps = [torch.randn(1, 2, size, size, dtype=torch.float64, requires_grad=True) for size in (2, 3)]
    assert torch.autograd.gradcheck(decoder, maps)


def test_recipe() -> None:
    (stage,) = load_recipe("efficientfcn").stages
    assert (stage.model, stage.batch, stage.epochs, stage.crop) == ("efficientfcn", 16, 120, (512, 512))
    steps = 120 * (4998 // 16)
    factor = learning_rate_factor(stage, steps)
    assert factor(0) == 1
    assert factor(steps - 1) == pytest.approx((1 / steps) ** 0.9)
    groups = make_optimizer(small().named_parameters(), stage).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.001, 1e-4)}
