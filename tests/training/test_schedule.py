import pytest
from torch import nn

from intarsia.recipes import Stage
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def test_warm_up_rises_by_equal_steps_to_the_peak():
    factor = learning_rate_factor("poly", 100, 4)
    assert [factor(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(("schedule", "halfway"), [("poly", 0.5**0.9), ("cosine", 0.5), ("constant", 1.0)])
def test_halfway_by_hand(schedule, halfway):
    factor = learning_rate_factor(schedule, 100, 0)
    assert factor(0) == 1.0
    assert factor(50) == pytest.approx(halfway)
    assert factor(100) == pytest.approx(1.0 if schedule == "constant" else 0.0)
    assert factor(1000) == factor(100)


def test_falling_schedules_never_rise():
    for schedule in ("poly", "cosine"):
        factor = learning_rate_factor(schedule, 57, 5)
        values = [factor(step) for step in range(5, 60)]
        assert values == sorted(values, reverse=True)


def test_biases_and_normalisations_do_not_decay_and_frozen_parameters_are_left_out():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    net[2].weight.requires_grad_(False)
    optimizer = make_optimizer(net.named_parameters(), Stage(lr=0.1, optimizer="sgd", weight_decay=0.05))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay[id(net[0].weight)] == 0.05
    assert decay[id(net[0].bias)] == decay[id(net[1].weight)] == 0.0
    assert id(net[2].weight) not in decay
