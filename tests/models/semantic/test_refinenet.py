from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.refinenet import _RCU, RefineNet, _ChainedPooling, _Fusion
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(**options: Any) -> RefineNet:
    torch.manual_seed(0)
    return RefineNet(encoder=create_encoder("test_resnet"), num_classes=3, **{"channels": 8, **options})


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("encoder", "parameters"), [("resnet50", 99_060_309), ("resnet101", 118_052_437)])
def test_parameters(encoder: str, parameters: int) -> None:
    with torch.device("meta"):
        assert count(create_model("refinenet", num_classes=21, encoder=encoder)) == parameters


def test_parameters_block_by_block() -> None:
    with torch.device("meta"):
        network = create_model("refinenet", num_classes=21)
    blocks = [
        [count(part) for part in (path.reduce, path.adapt, path.fuse, path.pool, path.out) if part is not None]
        for path in network.paths
    ]
    finer = [2_359_808, 2 * 589_824, 2_359_296, 3_539_712]
    assert blocks == [
        [9_437_184, 9_438_208, 9_437_184, 14_157_312],
        [2_359_296, 2_359_808, 1_179_648 + 589_824, 2_359_296, 3_539_712],
        [1_179_648, *finer],
        [589_824, *finer],
    ]
    assert count(network.score) == 2305 * 21


def test_each_path_refines_at_its_own_stride() -> None:
    shapes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = create_model("refinenet", num_classes=21)
        for part in (*network.paths, network.score):
            part.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
        network(torch.empty(1, 3, 400, 413))
    assert shapes == [(512, 13, 13), (256, 25, 26), (256, 50, 52), (256, 100, 104), (21, 100, 104)]


def test_chained_pooling_link_by_link() -> None:
    """The paper pools before it convolves, and each link goes on from the link before, not from the sum."""
    torch.manual_seed(0)
    x = torch.randn(1, 2, 7, 8, dtype=torch.float64)
    for conv_before_pool in (False, True):
        block = _ChainedPooling(2, 3, conv_before_pool=conv_before_pool).double()
        total = link = torch.relu(x)
        for conv in block.convs:
            if conv_before_pool:
                link = conv(link)
            padded = F.pad(link, (2, 2, 2, 2), value=-torch.inf)
            link = torch.stack([padded[..., i : i + 7, j : j + 8] for i in range(5) for j in range(5)]).amax(0)
            if not conv_before_pool:
                link = conv(link)
            total = total + link
        torch.testing.assert_close(block(x), total)


def test_residual_unit_leaves_its_shortcut_alone() -> None:
    unit, x = _RCU(3), torch.full((1, 3, 4, 4), -1.0)
    nn.init.zeros_(unit.second.weight)
    assert torch.equal(unit(x), torch.full((1, 3, 4, 4), -1.0))  # a ReLU in place would have made it 0
    assert (unit.first.bias is not None, unit.second.bias is not None) == (True, False)


def test_fusion_enlarges_the_coarser_map() -> None:
    torch.manual_seed(0)
    fuse, fine, coarse = _Fusion(4, 2), torch.rand(1, 2, 5, 7), torch.rand(1, 4, 3, 4)
    enlarged = F.interpolate(fuse.coarse(coarse), (5, 7), mode="bilinear", align_corners=False)
    torch.testing.assert_close(fuse(fine, coarse), fuse.fine(fine) + enlarged)


def test_dropout_on_wide_features_and_before_the_scores() -> None:
    dropped: list[int] = []
    with torch.device("meta"):
        network = create_model("refinenet", num_classes=3)
        network.dropout.register_forward_hook(lambda _module, inputs, _output: dropped.append(inputs[0].shape[1]))
        network(torch.empty(1, 3, 64, 64))
    assert dropped == [2048, 1024, 256]
    assert network.dropout.p == 0.5


def test_fixed_moments_stay_in_training() -> None:
    fixed, free = small(fixed_norm=True).train(), small().train()
    before = {name: value.clone() for name, value in fixed.encoder.named_buffers()}
    for network in (fixed, free):
        network(torch.rand(2, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in fixed.encoder.named_buffers())
    assert not all(torch.equal(value, before[name]) for name, value in free.encoder.named_buffers())
    assert fixed.training
    assert fixed.paths.training
    assert any(module.training for module in fixed.encoder.modules() if not isinstance(module, nn.BatchNorm2d))


def test_initial_weights() -> None:
    network = small(channels=32)
    own: list[Tensor] = [p for part in (network.paths, network.score) for p in part.parameters()]
    assert torch.cat([p.flatten() for p in own if p.ndim > 1]).std().item() == pytest.approx(0.01, rel=0.01)
    assert not any(p.any() for p in own if p.ndim == 1)


def test_an_encoder_with_too_few_features_is_refused() -> None:
    with pytest.raises(SettingsError, match="refines four features, and this encoder gives 3"):
        RefineNet(encoder=create_encoder("test_vit", output_stride=16), num_classes=2)


def test_recipe() -> None:
    first, second = load_recipe("refinenet").stages
    assert (first.lr, second.lr, second.init) == (5e-4, 5e-5, "previous")
    for stage in (first, second):
        assert (stage.encoder, stage.crop, stage.batch, stage.options["fixed_norm"]) == ("resnet101", (400, 400), 1, True)
        factor = learning_rate_factor(stage, 1000)
        assert factor(0) == factor(999) == 1
    groups = make_optimizer(small().named_parameters(), first).param_groups
    assert sorted({group["lr"] for group in groups}) == pytest.approx([5e-5, 5e-4])
