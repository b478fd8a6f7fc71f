from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.models.semantic.hrnetv2 import HRNetV2, class_means
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(**options: Any) -> HRNetV2:
    torch.manual_seed(0)
    own = {"width": 4, "modules": (1, 1, 1), "ocr_channels": 16, **options}
    return HRNetV2(num_classes=3, **own).eval()


@pytest.mark.parametrize(
    ("width", "count", "with_ocr"),
    [(18, 9_641_119, 12_080_818), (32, 29_546_515, 32_953_894), (48, 65_859_379, 70_372_678)],
)
def test_parameters(width: int, count: int, with_ocr: int) -> None:
    for ocr, expected in ((False, count), (True, with_ocr)):
        with torch.device("meta"):
            network = HRNetV2(num_classes=19, width=width, ocr=ocr)
        assert sum(p.numel() for p in network.parameters()) == expected


def test_the_head_reads_all_branches_at_stride_4() -> None:
    network = small()
    seen: list[Tensor] = []
    network.head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    image = torch.rand(1, 3, 65, 97)
    assert not network(image).auxiliary
    branches = network.trunk(image)
    assert seen[0].shape == (1, 15 * 4, 17, 25)
    expected = [F.interpolate(x, (17, 25), mode="bilinear", align_corners=False) for x in branches]
    torch.testing.assert_close(seen[0], torch.cat(expected, dim=1))


def test_class_means_as_a_slow_loop() -> None:
    torch.manual_seed(0)
    feature, guess = torch.randn(1, 2, 3, 4), torch.randn(1, 5, 3, 4)
    means = class_means(feature, guess)
    for k in range(5):
        weights = guess[0, k].exp() / guess[0, k].exp().sum()  # over pixels, not over classes
        torch.testing.assert_close(means[0, :, k], (feature[0] * weights).sum((1, 2)))


def test_a_sure_guess_gives_the_mean_of_its_pixels() -> None:
    feature = torch.arange(12.0).reshape(1, 1, 3, 4)
    guess = torch.full((1, 2, 3, 4), -100.0)
    guess[0, 0, 0] = guess[0, 1, 2] = 100.0
    torch.testing.assert_close(class_means(feature, guess), torch.tensor([[[1.5, 9.5]]]))


def test_attention_to_classes_written_out() -> None:
    ocr = small(ocr=True).ocr
    for module in ocr.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    seen: dict[str, Tensor] = {}
    for name in ("reduce", "query", "key", "value", "enlarge"):
        ocr.get_submodule(name).register_forward_hook(
            lambda _m, inputs, output, name=name: seen.update({name: output, f"{name} in": inputs[0]})
        )
    feature, guess = torch.randn(2, 60, 3, 4), torch.randn(2, 3, 3, 4)
    ocr(feature, guess)
    torch.testing.assert_close(seen["key in"][..., 0], class_means(seen["reduce"], guess))
    for n in range(2):
        for y in range(3):
            for x in range(4):
                likeness = (seen["query"][n, :, y, x, None] * seen["key"][n, ..., 0]).sum(0) / 8**0.5
                expected = seen["value"][n, ..., 0] @ likeness.softmax(0)
                torch.testing.assert_close(seen["enlarge in"][n, :, y, x], expected)


def test_the_first_guess_is_trained_beside() -> None:
    network = small(ocr=True)
    seen: list[Tensor] = []
    network.head.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    output = network(torch.rand(1, 3, 64, 64))
    (head,) = output.auxiliary
    assert (head.target, head.weight) == ("label", 0.4)
    torch.testing.assert_close(head.logits, F.interpolate(seen[0], (64, 64), mode="bilinear", align_corners=False))


def test_with_aligned_corners_scores_stand_where_their_features_are() -> None:
    network = small(align_corners=True)
    seen: list[Tensor] = []
    network.head.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logits = network(torch.rand(1, 3, 50, 33)).logits[..., ::4, ::4]
    torch.testing.assert_close(logits, seen[0][..., : logits.shape[-2], : logits.shape[-1]], rtol=1e-4, atol=1e-6)


def test_initial_weights() -> None:
    torch.manual_seed(0)
    network = small(ocr=True, ocr_channels=64)
    for layer in (network.head[0], network.ocr.reduce[0], network.trunk.conv2):
        assert layer.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_the_trunk_takes_imagenet_weights() -> None:
    network, other = small(), small()
    other.trunk.stage2[0].branches[0][0].conv1.weight.data.normal_()
    network.load_imagenet({**other.trunk.state_dict(), "classifier.weight": torch.zeros(2, 2)})
    assert all(torch.equal(a, b) for a, b in zip(network.trunk.parameters(), other.trunk.parameters(), strict=True))
    assert HRNetV2(num_classes=2, width=18).imagenet == "hrnet_w18"


@pytest.mark.parametrize("name", ["hrnetv2", "hrnetv2_ocr"])
def test_recipe(name: str) -> None:
    (stage,) = load_recipe(name).stages
    assert (stage.model, stage.batch, stage.epochs, stage.crop) == ("hrnetv2", 12, 484, (512, 1024))
    assert stage.options.get("ocr", False) == (name == "hrnetv2_ocr")
    steps = 484 * (2975 // 12)
    factor = learning_rate_factor(stage, steps)
    assert factor(0) == 1
    assert factor(steps - 1) == pytest.approx((1 / steps) ** 0.9)
    groups = make_optimizer(small().named_parameters(), stage).param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(0.01, 5e-4)}
