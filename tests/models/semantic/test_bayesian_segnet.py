import pytest
import torch
from torch import nn

from intarsia.core import SettingsError
from intarsia.models.semantic.bayesian_segnet import BayesianSegNet
from intarsia.models.semantic.segnet import SegNet
from intarsia.recipes import load_recipe


def small(dropout: float = 0.5) -> BayesianSegNet:
    torch.manual_seed(0)
    network = BayesianSegNet(num_classes=3, width=4, dropout=dropout)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that are not those of any batch
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def test_is_segnet_with_dropout() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in BayesianSegNet(num_classes=11).parameters()) == 29_449_355
    network, image = small(), torch.rand(1, 3, 45, 61)
    plain = SegNet(num_classes=3, width=4).eval()
    plain.load_state_dict(network.state_dict())
    assert network.dropout.p == 0.5
    assert torch.equal(network(image).logits, plain(image).logits)


def test_mean_and_variance_of_the_answers() -> None:
    """Equal to those over whole forward passes with the same draws."""
    network, image = small(), 3 * torch.randn(2, 3, 40, 56)
    torch.manual_seed(1)
    mean, variance = network.sample(image, samples=5)
    torch.manual_seed(1)
    network.dropout.train()
    with torch.no_grad():
        answers = torch.stack([network(image).logits.softmax(1) for _ in range(5)])
    torch.testing.assert_close(mean, answers.mean(0))
    torch.testing.assert_close(variance, answers.var(0, correction=0))
    assert (variance > 1e-6).float().mean() > 0.5


def test_without_dropout_all_answers_agree() -> None:
    network, image = small(dropout=0.0), torch.rand(1, 3, 33, 47)
    mean, variance = network.sample(image, samples=3)
    torch.testing.assert_close(mean, network(image).logits.softmax(1))
    assert variance.max() < 1e-12
    torch.testing.assert_close(mean.sum(1), torch.ones(1, 33, 47))


def test_more_samples_scatter_less() -> None:
    """The variance of a mean of 16 is a sixteenth of that of one."""
    network, image = small(), 3 * torch.randn(1, 3, 32, 32)
    spread = [torch.stack([network.sample(image, samples=count)[0] for _ in range(16)]).var(0).mean().item() for count in (1, 16)]
    assert 4 < spread[0] / spread[1] < 64


def test_sampling_leaves_the_network_as_it_was() -> None:
    network, image = small(), torch.rand(1, 3, 32, 32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = network(image).logits
    network.sample(image, samples=2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(network(image).logits, expected)
    assert not any(module.training for module in network.modules())
    assert small().train().sample(image, samples=1)[0].grad_fn is None


def test_no_sample_is_refused() -> None:
    with pytest.raises(SettingsError, match="The number of samples is 0; at least one"):
        small().sample(torch.rand(1, 3, 32, 32), samples=0)


def test_the_recipe() -> None:
    (stage,) = load_recipe("bayesian_segnet").stages
    assert (stage.model, stage.optimizer, stage.lr, stage.steps, stage.batch) == ("bayesian_segnet", "sgd", 1e-3, 60_000, 4)
