import pytest
import torch
from torch import nn

from intarsia.core import SettingsError
from intarsia.recipes import Stage
from intarsia.training.schedule import learning_rate_factor, make_optimizer


def factor_of(total_steps, **settings):
    return learning_rate_factor(Stage(**{"lr": 0.1, "warmup": 0.0, **settings}), total_steps)


def test_warm_up_rises_by_equal_steps_to_the_peak():
    factor = factor_of(100, schedule="poly", warmup=0.04)
    assert [factor(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize(("schedule", "halfway"), [("poly", 0.5**0.9), ("cosine", 0.5), ("constant", 1.0)])
def test_halfway_by_hand(schedule, halfway):
    factor = factor_of(100, schedule=schedule)
    assert factor(0) == 1.0
    assert factor(50) == pytest.approx(halfway)
    assert factor(100) == pytest.approx(1.0 if schedule == "constant" else 0.0)
    assert factor(1000) == factor(100)


def test_falling_schedules_never_rise():
    for schedule in ("poly", "cosine", "step", "exponential"):
        factor = factor_of(57, schedule=schedule, warmup=0.09, milestones=(0.3, 0.8), epochs=7)
        values = [factor(step) for step in range(5, 60)]
        assert values == sorted(values, reverse=True)


def test_power_floor_milestones_and_epochs_by_hand():
    assert factor_of(100, schedule="poly", power=2.0)(50) == pytest.approx(0.25)
    assert factor_of(100, schedule="poly", lr_min=0.01)(99) == pytest.approx(0.1)
    step = factor_of(90, schedule="step", milestones=(1 / 3, 2 / 3), gamma=0.5)
    assert [step(at) for at in (0, 29, 30, 59, 60, 89)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    fading = factor_of(30, schedule="exponential", gamma=0.9, epochs=3)
    assert [fading(at) for at in (0, 9, 10, 20, 29)] == pytest.approx([1.0, 1.0, 0.9, 0.81, 0.81])


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def settings_of(optimizer, parameter):
    return next((g["lr"], g["weight_decay"]) for g in optimizer.param_groups if any(p is parameter for p in g["params"]))


def test_biases_and_normalisations_do_not_decay_and_frozen_parameters_are_left_out():
    model = net()
    model[2].weight.requires_grad_(False)
    optimizer = make_optimizer(model.named_parameters(), Stage(lr=0.1, optimizer="sgd", weight_decay=0.05))
    assert settings_of(optimizer, model[0].weight)[1] == 0.05
    assert settings_of(optimizer, model[0].bias)[1] == settings_of(optimizer, model[1].weight)[1] == 0.0
    assert not any(p is model[2].weight for group in optimizer.param_groups for p in group["params"])


def test_factors_by_name_and_for_biases_and_decay_of_all():
    model = net()
    stage = Stage(lr=0.1, lr_factors={"2": 10.0, "2.bias": 3.0}, bias_lr_factor=2.0, weight_decay=0.05, decay_all=True)
    optimizer = make_optimizer(model.named_parameters(), stage)
    assert settings_of(optimizer, model[0].weight) == (0.1, 0.05)
    assert settings_of(optimizer, model[0].bias) == (0.2, 0.05)
    assert settings_of(optimizer, model[2].weight) == (1.0, 0.05)
    assert settings_of(optimizer, model[2].bias) == pytest.approx((0.6, 0.05))


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.99, "nesterov": True}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.99, "alpha": 0.9}),
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    ],
)
def test_optimizers(name, kind, found):
    optimizer = make_optimizer(net().named_parameters(), Stage(lr=0.1, optimizer=name, momentum=0.99, nesterov=True))
    assert type(optimizer) is kind
    assert found.items() <= optimizer.param_groups[0].items()


def test_a_factor_for_no_parameter_is_refused():
    with pytest.raises(SettingsError, match=r"lr_factors names 'head', and no parameter of unet begins so.* 0, 1, 2"):
        make_optimizer(net().named_parameters(), Stage(lr=0.1, lr_factors={"head": 10.0}))
