from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Batch
from intarsia.losses import create_loss
from intarsia.models.semantic.icnet import ICNet, pool_window
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer
from intarsia.training.semantic import total_loss


def small(**options: Any) -> ICNet:
    torch.manual_seed(0)
    return ICNet(num_classes=3, **{"width": 4, **options}).eval()


@pytest.mark.parametrize(("width", "count", "guided"), [(32, 6_699_987, 6_707_321), (64, 26_734_483, 26_749_113)])
def test_parameters(width: int, count: int, guided: int) -> None:
    with torch.device("meta"):
        network = ICNet(num_classes=19, width=width)
    numbers = {name: p.numel() for name, p in network.named_parameters()}
    assert sum(numbers.values()) == guided
    assert sum(n for name, n in numbers.items() if not name.startswith(("score_low", "score_medium"))) == count


def test_sizes_of_the_paper() -> None:
    sizes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: sizes.update({name: tuple(output.shape[1:])})

    with torch.device("meta"):
        network = ICNet(num_classes=19)
        for name in ("medium", "low", "high", "fuse_medium", "fuse_high", "score"):
            network.get_submodule(name).register_forward_hook(note(name))
        output = network(torch.empty(2, 3, 833, 833))
    assert sizes == {
        "medium": (256, 53, 53),
        "low": (256, 27, 27),
        "high": (64, 105, 105),
        "fuse_medium": (128, 53, 53),
        "fuse_high": (128, 105, 105),
        "score": (19, 209, 209),
    }
    assert [(head.name, head.weight, head.resize, head.logits.shape[-1]) for head in output.auxiliary] == [
        ("low", 0.16, "label", 53),
        ("medium", 0.4, "label", 105),
    ]


@pytest.mark.parametrize("size", [(721, 720), (64, 33), (1, 50)])
def test_guidance_covers_the_image_and_no_more(size: tuple[int, int]) -> None:
    with torch.device("meta"):
        output = ICNet(num_classes=2, width=4)(torch.empty(2, 3, *size))
    for head, stride in zip(output.auxiliary, (16, 8), strict=True):
        assert head.logits.shape[-2:] == tuple(-(-side // stride) for side in size)


def test_guidance_learns_the_label_at_its_own_size() -> None:
    network = small()
    image, label = torch.rand(1, 3, 65, 97), torch.randint(3, (1, 65, 97))
    output, loss = network(image), create_loss("cross_entropy", ignore_id=255)
    expected = loss(output.logits, label)
    for head, stride, weight in zip(output.auxiliary, (16, 8), (0.16, 0.4), strict=True):
        rows = [round(65 / head.logits.shape[2] * (i + 0.5) - 0.5) for i in range(head.logits.shape[2])]
        columns = [round(97 / head.logits.shape[3] * (i + 0.5) - 0.5) for i in range(head.logits.shape[3])]
        assert all(abs(row - stride * i) < stride for i, row in enumerate(rows))
        expected = expected + weight * F.cross_entropy(head.logits, label[:, rows][:, :, columns])
    found = total_loss(output, Batch(image, label, ("a",), ((65, 97),)), loss)
    torch.testing.assert_close(found, expected)


def test_windows_of_the_release() -> None:
    assert [pool_window(33, bins) for bins in (1, 2, 3, 6)] == [(33, 32), (17, 16), (13, 10), (8, 5)]
    assert [pool_window(65, bins) for bins in (1, 2, 6)] == [(65, 64), (33, 32), (15, 10)]
    for side in range(1, 80):
        for bins in (1, 2, 3, 6):
            kernel, stride = pool_window(side, bins)
            assert kernel >= 1
            assert (side - kernel) // stride + 1 == min(bins, side)
            assert kernel + (min(bins, side) - 1) * stride == side  # all of it is seen


def test_the_pyramid_is_summed_and_is_not_the_adaptive_one() -> None:
    pyramid = small().low[-2]
    x = torch.randn(1, 2, 33, 9)
    found = pyramid(x)
    expected, adaptive = x.clone(), x.clone()
    for bins in (1, 2, 3, 6):
        (kh, sh), (kw, sw) = pool_window(33, bins), pool_window(9, bins)
        means = torch.stack(
            [
                torch.stack([x[..., i * sh : i * sh + kh, j * sw : j * sw + kw].mean((2, 3)) for j in range(bins)], -1)
                for i in range(bins)
            ],
            -2,
        )
        expected += F.interpolate(means, (33, 9), mode="bilinear", align_corners=True)
        adaptive += F.interpolate(F.adaptive_avg_pool2d(x, bins), (33, 9), mode="bilinear", align_corners=True)
    torch.testing.assert_close(found, expected)
    assert (found - adaptive).abs().max() > 0.01


def test_halving_is_bilinear_with_aligned_corners() -> None:
    """The half image and the quarter map are what Caffe's Interp makes of sides of 32 n + 1."""
    network = small()
    seen: dict[str, Tensor] = {}
    network.medium.register_forward_hook(lambda _m, inputs, output: seen.update(image=inputs[0], medium=output))
    network.low.register_forward_hook(lambda _m, inputs, _o: seen.update(low=inputs[0]))
    image = torch.rand(1, 3, 65, 97)
    network(image)
    torch.testing.assert_close(seen["image"], F.interpolate(image, (33, 49), mode="bilinear", align_corners=True))
    torch.testing.assert_close(seen["low"], F.interpolate(seen["medium"], (3, 4), mode="bilinear", align_corners=True))


def test_strides_and_dilations() -> None:
    network = small()
    convs = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    strided = [name for name, conv in convs.items() if conv.stride == (2, 2)]
    assert strided == ["medium.0.0", "medium.7.convs.0.0", "medium.7.shortcut.0", "high.0.0", "high.1.0", "high.2.0"]
    assert convs["medium.7.convs.0.0"].kernel_size == (1, 1)  # not on the 3x3
    dilations = [conv.dilation[0] for name, conv in convs.items() if name.startswith("low") and conv.kernel_size == (3, 3)]
    assert dilations == [1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4, 4]
    assert [fusion.coarse[0].dilation for fusion in (network.fuse_medium, network.fuse_high)] == [(2, 2), (2, 2)]
    assert not any(
        isinstance(layer, nn.ReLU) for fusion in (network.fuse_medium, network.fuse_high) for layer in fusion.modules()
    )


def test_starts_from_he() -> None:
    torch.manual_seed(0)
    conv = ICNet(num_classes=2, width=32).fuse_medium.coarse[0]
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)


def test_recipe() -> None:
    (stage,) = load_recipe("icnet").stages
    assert (stage.model, stage.batch, stage.steps, stage.crop) == ("icnet", 16, 30_000, (833, 833))
    factor = learning_rate_factor(stage, 30_000)
    assert factor(0) == 1
    assert factor(29_999) == pytest.approx((1 / 30_000) ** 0.9)
    assert {group["lr"] for group in make_optimizer(small().named_parameters(), stage).param_groups} == {0.01}
