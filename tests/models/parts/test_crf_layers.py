import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from intarsia.core import SettingsError
from intarsia.inference.refined import create_refinement, write_refinement
from intarsia.models.parts.crf_layers import CRFLayers, _Filter
from intarsia.postprocess.dense_crf import DenseCRF, refine


def scene(count=1, height=20, width=24, seed=0):
    """Pictures of a bright square on dark ground, noisy, and which pixels are its."""
    draw = np.random.default_rng(seed)
    truth = np.zeros((count, height, width), np.int64)
    for one in truth:
        y, x = draw.integers(2, height - 12), draw.integers(2, width - 12)
        one[y : y + 10, x : x + 10] = 1
    image = 60 + 110 * truth[:, None] + draw.normal(0, 12, (count, 3, height, width))
    return torch.tensor(image.clip(0, 255).astype(np.uint8)), torch.tensor(truth)


def test_one_pixel_by_hand():
    # As in the test of mean field: a lead of ln 3 grows by 2 (3/4 - 1/4).
    layers = CRFLayers(2, DenseCRF(spatial_weight=2, bilateral_weight=0, iterations=1))
    out = layers(torch.log(torch.tensor([3.0, 1.0])).reshape(1, 2, 1, 1), torch.zeros(1, 3, 1, 1))
    assert (out[0, 0] - out[0, 1]).item() == pytest.approx(np.log(3) + 1, rel=1e-6)


@pytest.mark.parametrize("normalization", ["symmetric", "after", "before"])
def test_the_numbers_are_those_without_torch(normalization):
    image, _ = scene(2)
    logits = torch.randn(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    mu = np.random.default_rng(1).uniform(0, 1, (3, 3))
    for compatibility in (None, mu):
        field = DenseCRF(3, 3, 4, 20, 13, 6, normalization, compatibility=compatibility)
        with torch.no_grad():
            probs = CRFLayers(3, field)(logits, image).softmax(1)
            as_float = CRFLayers(3, field)(logits, image.float()).softmax(1)
        assert (probs - as_float).abs().max() < 1e-5
        for prob, one, picture in zip(probs.numpy(), logits.numpy(), image.numpy(), strict=True):
            np.testing.assert_allclose(prob, refine(-one, picture.transpose(1, 2, 0), field).prob, atol=1e-5)


def test_gradients_are_those_of_the_numbers():
    image, _ = scene()
    image = image[..., :3, :4]
    layers = CRFLayers(2, DenseCRF(2, 1.5, 3, 4, 30, 2)).double()
    logits = torch.randn(1, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layers(x, image), (logits, layers.weight, layers.compatibility))
    lattice = layers.settings.lattices(image[0].movedim(0, -1).numpy())[1][1]
    values = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: _Filter.apply(x, lattice) ** 2, values)


def test_network_and_field_learn_together():
    torch.manual_seed(0)
    image, truth = scene(4)
    seen = F.one_hot(truth, 2).movedim(-1, 1).float() + torch.randn(4, 2, 20, 24)  # what a weak network sees
    network, layers = nn.Conv2d(2, 2, 1), CRFLayers(2, DenseCRF(1.0, 2.0, 1.0, 10.0, 20.0, 3))
    start = [parameter.detach().clone() for parameter in (*network.parameters(), *layers.parameters())]
    optimizer = torch.optim.Adam([*network.parameters(), *layers.parameters()], 0.05)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(layers(network(seen), image), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert all(
        (parameter != before).any()
        for parameter, before in zip((*network.parameters(), *layers.parameters()), start, strict=True)
    )
    fresh_image, fresh_truth = scene(2, seed=5)
    noise = F.one_hot(fresh_truth, 2).movedim(-1, 1).float() + torch.randn(2, 2, 20, 24)
    with torch.no_grad():
        alone, refined = network(noise), layers(network(noise), fresh_image)
    assert (refined.argmax(1) == fresh_truth).float().mean() > 0.95 > (alone.argmax(1) == fresh_truth).float().mean() + 0.15


def test_what_was_learnt_refines_without_torch(tmp_path):
    image, _ = scene()
    layers = CRFLayers(3)
    with torch.no_grad():
        layers.weight += 0.5
        layers.compatibility += torch.rand(3, 3)
    path = write_refinement(tmp_path / "crf.toml", "crf", layers.learnt())
    logits = torch.randn(1, 3, 20, 24)
    with torch.no_grad():
        expected = layers(logits, image).softmax(1)[0]
    found = refine(-logits[0].numpy(), image[0].movedim(0, -1).numpy(), create_refinement(file=path)[1])
    np.testing.assert_allclose(found.prob, expected, atol=1e-5)


def test_half_precision_is_computed_in_single():
    image, _ = scene()
    logits = torch.randn(1, 2, 20, 24).bfloat16()
    layers = CRFLayers(2)
    with torch.autocast("cpu", torch.bfloat16):
        out = layers(logits, image)
    assert out.dtype == torch.float32
    assert torch.equal(out, layers(logits.float(), image))
    assert torch.equal(CRFLayers(2, DenseCRF(iterations=0))(logits.float(), image), logits.float())


def test_errors():
    with pytest.raises(SettingsError, match="has 3 labels, and there are 2 classes"):
        CRFLayers(2, DenseCRF(compatibility=np.eye(3)))
    with pytest.raises(SettingsError, match=r"\(1, 3, 4, 4\) and the image \(1, 3, 5, 4\); \(N, 3, H, W\)"):
        CRFLayers(3)(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 5, 4))
