from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.encoders import create_encoder
from intarsia.models import create_model
from intarsia.models.semantic.gcn import GCN, _block, _GlobalConv, _Refine
from intarsia.recipes import load_recipe
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def small(**options: Any) -> GCN:
    torch.manual_seed(0)
    return GCN(encoder=create_encoder("test_resnet"), num_classes=3, **{"kernel": 5, **options}).eval()


def weights(module: nn.Module) -> int:
    """Without biases, as the paper counts."""
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


@pytest.mark.parametrize(
    ("encoder", "classes", "upsample", "count"),
    [
        ("resnet152", 21, "bilinear", 60_688_084),
        ("resnet50", 21, "bilinear", 26_052_308),
        ("resnet50", 19, "bilinear", 25_799_280),
        ("resnet50", 21, "deconv", 26_052_308 + 5 * 7_077),
    ],
)
def test_parameters(encoder: str, classes: int, upsample: str, count: int) -> None:
    with torch.device("meta"):
        network = create_model("gcn", num_classes=classes, encoder=encoder, upsample=upsample)
    assert sum(p.numel() for p in network.parameters()) == count


def test_weights_of_tables_2_and_4() -> None:
    """At stride 32 of ResNet-152 with 21 classes; the paper prints thousands."""
    with torch.device("meta"):
        for kernel, factored, full in ((3, 260, 387), (5, 434, 1075), (7, 608, 2107), (9, 782, 3484)):
            assert weights(_block("gcn", 2048, 21, kernel, None)) // 1000 == factored
            assert weights(_block("kxk", 2048, 21, kernel, None)) == pytest.approx(1000 * full, abs=1000)
        for between, printed in ((None, 75_885), (1024, 28_505), (210, 4307)):
            assert weights(_block("stack3x3", 2048, 21, 7, between)) == pytest.approx(1000 * printed, abs=500)
        assert weights(_block("conv1x1", 2048, 21, 15, None)) == 2048 * 21


@pytest.mark.parametrize(("kind", "reach"), [("gcn", 3), ("kxk", 3), ("stack3x3", 3), ("conv1x1", 0)])
def test_what_the_blocks_of_figure_4_see(kind: str, reach: int) -> None:
    """Each sees a square of 7 x 7, except 1x1; and each is affine: there is no ReLU in it."""
    torch.manual_seed(0)
    block = _block(kind, 2, 3, 7, None).double()
    image = torch.zeros(1, 2, 11, 13, dtype=torch.float64, requires_grad=True)
    block(image)[0, :, 5, 6].sum().backward()
    assert image.grad is not None
    rows, columns = image.grad.abs().sum((0, 1)).nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5 - reach, 5 + reach, 6 - reach, 6 + reach)
    assert len(rows) == (2 * reach + 1) ** 2
    a, b, zero = torch.randn(1, 2, 9, 9).double(), torch.randn(1, 2, 9, 9).double(), torch.zeros(1, 2, 9, 9).double()
    torch.testing.assert_close(block(a + b), block(a) + block(b) - block(zero))


def test_global_convolution_is_a_k_by_k_convolution_of_rank_one_and_one() -> None:
    torch.manual_seed(0)
    block = _GlobalConv(2, 3, 5).double()
    for module in block.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    (tall, wide), (across, down) = ([conv.weight for conv in branch] for branch in (block.columns_first, block.rows_first))
    kernel = torch.einsum("kmj,mcu->kcuj", wide[:, :, 0], tall[..., 0]) + torch.einsum(
        "kmu,mcj->kcuj", down[..., 0], across[:, :, 0]
    )
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(block(x), F.conv2d(x, kernel, padding=2))


def test_boundary_refinement_is_residual() -> None:
    block, x = _Refine(3), torch.randn(1, 3, 4, 5)
    torch.testing.assert_close(block(x), x + block.second(torch.relu(block.first(x))))
    nn.init.zeros_(block.second.weight)
    assert torch.equal(block(x), x)


def test_figure_2() -> None:
    """Scores of K channels at all strides, refined nine times, joined from coarse to fine."""
    refined: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = create_model("gcn", num_classes=21)
        for module in network.modules():
            if isinstance(module, _Refine):
                module.register_forward_hook(lambda _module, _inputs, output: refined.append(tuple(output.shape[1:])))
        network(torch.empty(1, 3, 101, 64))
    taps = [(21, 26, 16), (21, 13, 8), (21, 7, 4), (21, 4, 2)]
    assert refined == [*taps, (21, 7, 4), (21, 13, 8), (21, 26, 16), (21, 51, 32), (21, 101, 64)]


def test_deconvolution_starts_bilinear() -> None:
    """Inside, where no zeros from beyond the border come in, the two ways to enlarge agree before training."""
    learnt, fixed = small(upsample="deconv"), small()
    x = torch.randn(1, 3, 6, 7)
    torch.testing.assert_close(learnt.enlarge[0](x, (11, 14))[..., 1:, 1:-1], fixed.enlarge[0](x, (12, 14))[..., 1:-1, 1:-1])


def test_initial_weights_keep_the_variance() -> None:
    torch.manual_seed(0)
    block, refine = _GlobalConv(64, 32, 15), _Refine(64)
    assert block.columns_first[0].weight.var().item() == pytest.approx(1 / (64 * 15), rel=0.05)
    assert refine.first.weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
    assert refine.second.weight.var().item() == pytest.approx(1 / (64 * 9), rel=0.05)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="GCN's kernel is 14; it must be odd"):
        small(kernel=14)
    with pytest.raises(SettingsError, match="strides 4, 8, 16 and 32, and this encoder has strides 2, 4, 8, 16, 16"):
        GCN(encoder=create_encoder("test_resnet", output_stride=16), num_classes=2)


def test_recipe() -> None:
    first, second = load_recipe("gcn").stages
    assert (first.crop, second.crop, second.init) == ((640, 640), (512, 512), "previous")
    assert (first.encoder, first.batch, first.momentum, first.weight_decay) == ("resnet152", 1, 0.99, 5e-4)
    factor = learning_rate_factor(first, 1000)
    assert (factor(0), factor(999)) == (1, pytest.approx(0.001**0.9))
    assert make_optimizer(small().named_parameters(), first).param_groups[0]["momentum"] == 0.99
