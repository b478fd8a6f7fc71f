import torch

from intarsia.models.parts.normal_conv import normal_conv


def test_weights_and_sizes() -> None:
    torch.manual_seed(0)
    conv = normal_conv(64, 50, 3, std=0.01, dilation=12)
    assert abs(conv.weight.std().item() / 0.01 - 1) < 0.02
    assert abs(conv.weight.mean().item()) < 0.001
    assert conv.bias is not None
    assert not conv.bias.any()
    x = torch.rand(1, 64, 7, 9)
    assert conv(x).shape == (1, 50, 7, 9)
    assert normal_conv(64, 2, 3, std=0.01, stride=8)(torch.rand(1, 64, 33, 41)).shape == (1, 2, 5, 6)
    torch.testing.assert_close(normal_conv(64, 2, std=1.0).weight.std(), torch.tensor(1.0), rtol=0.2, atol=0.0)
