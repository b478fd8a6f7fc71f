import torch
from torch import nn
from torch.nn import functional as F

from intarsia.models.parts.aspp import ASPP, ImagePooling


def test_parameters_by_hand() -> None:
    with torch.device("meta"):
        pyramid = ASPP(2048, rates=(6, 12, 18))
    branches = 2 * (2048 * 256 + 512) + 3 * (9 * 2048 * 256 + 512)  # 1x1 and pooling, three 3x3
    assert sum(p.numel() for p in pyramid.parameters()) == branches + 5 * 256 * 256 + 512


def test_rates_reach_as_far_as_they_say() -> None:
    pyramid = ASPP(1, channels=2, rates=(6, 12, 18))
    assert [branch[0].dilation for branch in pyramid.branches[1:4]] == [(6, 6), (12, 12), (18, 18)]
    assert pyramid(torch.randn(2, 1, 5, 7)).shape == (2, 2, 5, 7)


def test_image_pooling_is_the_mean_of_the_map_at_every_pixel() -> None:
    torch.manual_seed(0)
    pooling = ImagePooling(3, 4).eval()
    feature = torch.randn(2, 3, 5, 6)
    expected = F.relu(torch.einsum("kc,nc->nk", pooling.conv.weight[..., 0, 0], feature.mean((2, 3))) / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(pooling(feature), expected[..., None, None].expand(2, 4, 5, 6))


def test_one_image_trains_with_the_running_statistics() -> None:
    torch.manual_seed(0)
    pooling = ImagePooling(3, 4).train()
    assert pooling.norm.running_mean is not None
    pooling(torch.randn(2, 3, 4, 4))
    before = pooling.norm.running_mean.clone()
    feature = torch.randn(1, 3, 4, 4)
    trained = pooling(feature)
    assert torch.equal(pooling.norm.running_mean, before)
    torch.testing.assert_close(trained, pooling.eval()(feature))
    trained.sum().backward()
    assert pooling.conv.weight.grad is not None
    assert pooling.conv.weight.grad.any()


def test_dropout_is_on_the_result_alone() -> None:
    pyramid = ASPP(1, channels=2, rates=(1,), dropout=1.0)
    assert not pyramid.train()(torch.randn(2, 1, 4, 4)).any()
    assert sum(isinstance(module, nn.Dropout) for module in pyramid.modules()) == 1
