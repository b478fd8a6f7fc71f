import torch
from torch import nn

from intarsia.models.parts.frozen_norm import freeze_norms


def test_normalisations_stay_and_convolutions_learn() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 3))
    norm = network[1]
    norm.running_mean.fill_(0.5)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    network.train()
    freeze_norms(network)
    image = 3 * torch.rand(4, 1, 8, 8)
    trained = network(image)
    trained.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert [parameter.grad is None for parameter in network.parameters()] == [False, False, True, True, False, False]
    torch.testing.assert_close(trained, network.eval()(image))
