import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intarsia.core import Output, SegmentationError, SettingsError
from intarsia.losses.direction_and_energy import direction_and_energy_loss


def sample(dtype: torch.dtype = torch.float32) -> tuple[Output, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    true = F.normalize(normal(2, 2, 4, 5)) * (torch.rand(2, 1, 4, 5, generator=generator) > 0.3)
    targets = {
        "direction": true,
        "energy": torch.randint(16, (2, 4, 5), generator=generator),
        "thing_label": torch.randint(3, (2, 4, 5), generator=generator),
        "size_weights": torch.rand(2, 4, 5, generator=generator, dtype=dtype),
    }
    targets["energy"][0, 0], targets["thing_label"][0, 0] = 255, 255
    parts = {"direction": F.normalize(normal(2, 2, 4, 5)), "semantic": normal(2, 3, 4, 5)}
    return Output(normal(2, 16, 4, 5), parts=parts), targets


def test_values_by_hand() -> None:
    # Two pixels of weights 1 and 3: a right angle and none; a third has no true direction.
    true, said = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    logits = torch.zeros(1, 16, 1, 3)  # p = 1/16 for each level
    targets = {
        "direction": true.view(1, 2, 1, 3),
        "energy": torch.tensor([[[2, 15, 255]]]),
        "thing_label": torch.tensor([[[0, 1, 255]]]),
        "size_weights": torch.tensor([[[1.0, 3.0, 9.0]]]),
    }
    output = Output(logits, parts={"direction": said.view(1, 2, 1, 3), "semantic": torch.zeros(1, 2, 1, 3)})
    terms = direction_and_energy_loss(output, targets)
    assert terms["direction"].item() == pytest.approx((math.pi / 2) ** 2 / 4, rel=1e-5)
    other, weights = math.log(16 / 15), 3 + 3 + 3 + 2 + 12
    low, high = 3 * math.log(16) + (weights - 3) * other, math.log(16) + (weights - 1) * other
    assert terms["energy"].item() == pytest.approx((low + 3 * high) / 4, rel=1e-5)
    assert terms["semantic"].item() == pytest.approx(math.log(2))


def test_equals_a_slow_loop() -> None:
    output, targets = sample(torch.float64)
    prob = output.logits.softmax(1)
    total = weight = 0.0
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5)).tolist():
        level = int(targets["energy"][n, y, x])
        if level == 255:
            continue
        w = float(targets["size_weights"][n, y, x])
        for k in range(16):
            p = float(prob[n, k, y, x])
            total += w * [3, 3, 3, 2, *[1] * 12][k] * -math.log(p if k == level else 1 - p)
        weight += w
    assert direction_and_energy_loss(output, targets)["energy"].item() == pytest.approx(total / weight, rel=1e-5)


def test_perfect_costs_nothing_and_stays_finite() -> None:
    _, targets = sample()
    logits = 500.0 * F.one_hot(targets["energy"].clamp(max=15), 16).movedim(-1, 1)
    semantic = 500.0 * F.one_hot(targets["thing_label"].clamp(max=2), 3).movedim(-1, 1)
    logits, direction = logits.requires_grad_(), targets["direction"].clone().requires_grad_()
    terms = direction_and_energy_loss(Output(logits, parts={"direction": direction, "semantic": semantic}), targets)
    assert [term.item() for term in terms.values()] == pytest.approx([0, 0, 0], abs=1e-5)
    sum(terms.values()).backward()
    assert logits.grad.isfinite().all()
    assert direction.grad.isfinite().all()
    wrong = Output(-logits.detach(), parts={"direction": -targets["direction"], "semantic": -semantic})
    assert all(torch.isfinite(term) for term in direction_and_energy_loss(wrong, targets).values())


def test_images_without_objects() -> None:
    output, targets = sample()
    empty = {name: torch.zeros_like(target) for name, target in targets.items()}
    logits = output.logits.requires_grad_()
    terms = direction_and_energy_loss(output, empty)
    assert (terms["direction"].item(), terms["energy"].item()) == (0, 0)
    assert terms["semantic"].item() > 0
    sum(terms.values()).backward()
    assert not logits.grad.any()


def test_weights_choose_the_terms() -> None:
    output, targets = sample()
    whole = direction_and_energy_loss(output, targets)
    assert list(whole) == ["direction", "energy", "semantic"]
    torch.testing.assert_close(direction_and_energy_loss(output, targets, direction=0, semantic=0), {"energy": whole["energy"]})
    half = direction_and_energy_loss(output, targets, direction=0.5, energy=0, semantic=2)
    torch.testing.assert_close(half, {"direction": whole["direction"] / 2, "semantic": whole["semantic"] * 2})
    given = Output(output.logits, parts={"direction": output.parts["direction"]})
    assert list(direction_and_energy_loss(given, targets)) == ["direction", "energy"]


def test_gradcheck() -> None:
    output, targets = sample(torch.float64)
    inputs = tuple(x[:, :, :2, :2].clone().requires_grad_() for x in (output.logits, *output.parts.values()))
    targets = {name: target[..., :2, :2] for name, target in targets.items()}

    def terms(logits: Tensor, direction: Tensor, semantic: Tensor) -> tuple[Tensor, ...]:
        made = Output(logits, parts={"direction": F.normalize(direction), "semantic": semantic})
        return tuple(direction_and_energy_loss(made, targets).values())

    torch.autograd.gradcheck(terms, inputs)


def test_errors() -> None:
    output, targets = sample()
    with pytest.raises(SettingsError, match="direction 0, energy 0 and semantic 0; none is negative, and one"):
        direction_and_energy_loss(output, targets, direction=0, energy=0, semantic=0)
    with pytest.raises(SettingsError, match=r"energy -1"):
        direction_and_energy_loss(output, targets, energy=-1)
    targets["thing_label"][0, 1, 1] = 3
    with pytest.raises(SegmentationError, match=r"class of things number 3, and the network was made for 2"):
        direction_and_energy_loss(output, targets)
