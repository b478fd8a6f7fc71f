from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.unet_encoder import UNetEncoder


def small(encoder: str = "test_resnet", output_stride: int = 32, **options: Any) -> UNetEncoder:
    torch.manual_seed(0)
    made = create_encoder(encoder, output_stride=output_stride)
    return UNetEncoder(encoder=made, num_classes=3, **{"channels": (16, 12, 8, 8, 4), **options}).eval()


@pytest.mark.parametrize(("encoder", "count"), [("resnet18", 14_328_209), ("resnet34", 24_436_369), ("resnet50", 32_521_105)])
def test_parameters(encoder: str, count: int) -> None:
    """One class, as in segmentation_models_pytorch, whose network is counted beside it."""
    with torch.device("meta"):
        own, theirs = create_model("unet_encoder", num_classes=1, encoder=encoder), smp.Unet(encoder, encoder_weights=None)
    assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in theirs.parameters()) == count


def test_scores_of_any_size_are_those_of_segmentation_models_pytorch() -> None:
    torch.manual_seed(0)
    reference = smp.Unet("resnet18", encoder_weights=None, classes=3).double().eval()
    own = create_model("unet_encoder", num_classes=3, encoder="resnet18").double().eval()
    own.load_state_dict(dict(zip(own.state_dict(), reference.state_dict().values(), strict=True)))
    for size in ((33, 47), (64, 32)):
        image = torch.rand(1, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(own(image).logits, reference(image))


@pytest.mark.parametrize("enlarge", ["nearest", "bilinear"])
def test_each_block_joins_the_enlarged_map_and_the_feature_of_that_size(enlarge: str) -> None:
    network, image = small(enlarge=enlarge), torch.rand(1, 3, 33, 50)
    seen: list[Tensor] = []
    for block in network.blocks:
        block.register_forward_hook(lambda _block, inputs, output: seen.extend((inputs[0], output)))
    logits = network(image).logits
    *features, x = network.encoder(image)
    for index, feature in enumerate([*features[::-1], None]):
        size = feature.shape[-2:] if feature is not None else image.shape[-2:]
        enlarged = F.interpolate(x, size, mode=enlarge)
        joined = enlarged if feature is None else torch.cat([enlarged, feature], dim=1)
        assert torch.equal(seen[2 * index], joined)
        x = seen[2 * index + 1]
    assert torch.equal(logits, network.score(x))


@pytest.mark.parametrize(
    ("encoder", "output_stride", "sizes"),
    [("test_resnet", 8, [5, 5, 9, 17, 33]), ("vgg16", 32, [3, 5, 9, 17, 33]), ("test_convnext", 32, [4, 8, 16, 32, 64])],
)
def test_other_encoders(encoder: str, output_stride: int, sizes: list[int]) -> None:
    """A dilated one; and one of finest stride 4, so that nothing is joined at stride 2, for which images grow."""
    network, made = small(encoder, output_stride), []
    for block in network.blocks:
        block.register_forward_hook(lambda _block, _inputs, output: made.append(output.shape[-2]))
    assert network(torch.rand(1, 3, 33, 33)).logits.shape == (1, 3, 33, 33)
    assert made == sizes


def test_initial_weights() -> None:
    network = small(channels=(64, 64, 64, 64, 64))
    first: Any = network.blocks[1][1][0]
    assert isinstance(first, nn.Conv2d)
    assert first.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
    bound = (6 / (9 * 64 + 9 * 3)) ** 0.5
    assert 0.9 * bound < network.score.weight.abs().max().item() <= bound


def test_one_number_of_channels_for_each_block() -> None:
    with pytest.raises(SettingsError, match=r"`channels` are \(8, 4\), and .* strides 2, 4, 8, 16, 32 it has 5 blocks"):
        small(channels=(8, 4))
