"""What every recipe that comes along must do, checked on tiny networks. A new TOML file is covered without a line here."""

import math

import numpy as np
import pytest
import torch

from intarsia.classical import CLASSICAL
from intarsia.core import Batch, ClassSpace, Panoptic, Segment
from intarsia.data.collate import PreparedSample, collate
from intarsia.data.targets import make_targets
from intarsia.losses import create_loss
from intarsia.models import SEMANTIC, ModelSpec, classes_learnt, create_model, describe_model, network_catalog
from intarsia.recipes import Stage, load_recipe
from intarsia.recipes.recipe import recipe_names
from intarsia.training.objects import ObjectLoss, own_loss
from intarsia.training.schedule import learning_rate_factor, make_optimizer
from intarsia.training.semantic import needed_targets, total_loss

CLASSES, STEPS = 4, 1000

SPACE = ClassSpace.from_names(["sky", "car", "grass", "cat"], things=["car", "cat"])
NETWORKS = [
    pytest.param(stage, id=f"{name}-{number}")
    for name in recipe_names()
    for number, stage in enumerate(load_recipe(name).stages, 1)
    if stage.model not in CLASSICAL
]
STAGES = [param for param in NETWORKS if param.values[0].model in SEMANTIC]
OF_OBJECTS = [param for param in NETWORKS if param.values[0].model not in SEMANTIC]


def last_factor(stage: Stage, steps: int) -> float:
    """The formula of `Stage`, at the last step."""
    warmup = round(stage.warmup * steps)
    t = (steps - 1 - warmup) / (steps - warmup)
    factor = {
        "poly": (1 - t) ** stage.power,
        "cosine": (1 + math.cos(math.pi * t)) / 2,
        "constant": 1.0,
        "step": stage.gamma ** len(stage.milestones),
        "exponential": stage.gamma ** ((stage.epochs or 1) - 1),
    }[stage.schedule]
    return max(factor, stage.lr_min / (stage.lr or 1))


@pytest.mark.parametrize("stage", NETWORKS)
def test_first_and_last_learning_rate(stage: Stage) -> None:
    factor = learning_rate_factor(stage, STEPS)
    warmup = round(stage.warmup * STEPS)
    assert factor(0) == (1 / warmup if warmup else 1.0)
    assert factor(STEPS - 1) == pytest.approx(last_factor(stage, STEPS))
    assert stage.lr is None or stage.lr > 0


@pytest.mark.parametrize("stage", STAGES)
def test_two_steps_on_a_tiny_network(stage: Stage) -> None:
    """The settings belong to the architecture's own parameters; the weights move, the frozen ones do not."""
    torch.manual_seed(0)
    full = ModelSpec(stage.model, CLASSES, 3, stage.encoder, stage.output_stride, dict(stage.options))  # the options exist
    tiny = SEMANTIC.load(stage.model).TINY
    choices = {k: v for k, v in stage.options.items() if k not in tiny}
    network = create_model(stage.model, num_classes=CLASSES, **{**tiny, **choices})
    assert full.name == describe_model(stage.model)["name"]
    sizes = [1.0] * CLASSES
    weighted = isinstance(stage.class_weights, tuple) or stage.class_weights in ("median_frequency", "log")
    loss = create_loss(stage.loss, ignore_id=255, class_weight=sizes if weighted else None, **stage.loss_options)
    for name, parameter in network.named_parameters():
        if name.startswith(stage.frozen or ("\0",)):
            parameter.requires_grad_(False)
    for prefix in stage.frozen:
        assert any(name.startswith(prefix) for name, _ in network.named_parameters()), (
            f"frozen names {prefix!r}, which is nothing"
        )
    label = torch.randint(CLASSES, (2, 64, 64))
    presence = torch.stack([torch.bincount(one.flatten(), minlength=CLASSES) > 0 for one in label]).float()
    targets = {"presence": presence, "border_weights": 10 * torch.rand(2, 64, 64)}
    assert set(needed_targets(network, loss, 3)) <= set(targets)
    batch = Batch(torch.randn(2, 3, 64, 64), label, ("a", "b"), ((64, 64),) * 2, targets)
    optimizer = make_optimizer(network.train().named_parameters(), Stage(**{**vars(stage), "lr": stage.lr or 1e-3}))
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for _ in range(2):
        value = total_loss(network(batch.image), batch, loss)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        assert value.isfinite()
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved
    assert not any(name.startswith(stage.frozen or ("\0",)) for name in moved)


@pytest.mark.parametrize("stage", OF_OBJECTS)
def test_two_steps_on_a_tiny_network_of_objects(stage: Stage) -> None:
    """The settings belong to the architecture and its loss; the weights move, the frozen ones do not."""
    torch.manual_seed(0)
    task, catalog = network_catalog(stage.model)
    things = SPACE.thing_ids if task == "panoptic" else ()
    count = classes_learnt(task, SPACE)
    full = ModelSpec(stage.model, count, 3, stage.encoder, stage.output_stride, dict(stage.options), things)  # the options exist
    with torch.device("meta"):
        names = [name for name, _ in full.build().named_parameters()]
    for prefix in stage.frozen:
        assert any(name.startswith(prefix) for name in names), f"frozen names {prefix!r}, which is nothing"
    kind = catalog.load(stage.model)
    choices = {key: value for key, value in stage.options.items() if key not in kind.TINY}
    network = create_model(stage.model, classes=SPACE, **{**kind.TINY, **choices}).train()
    stage = own_loss(stage, network)
    loss = ObjectLoss(str(stage.loss), stage.loss_options)
    for name, parameter in network.named_parameters():
        if name.startswith(stage.frozen or ("\0",)):
            parameter.requires_grad_(False)
    ids = np.repeat([[1] * 8 + [4] * 24 + [6] * 24 + [3] * 8], 64, 0)
    truth = Panoptic(ids, (Segment(1, 0), Segment(3, 2), Segment(4, 1), Segment(6, 3)), SPACE)
    targets = make_targets(kind.TARGETS, truth.to_instances() if task == "instance" else truth)
    batch = collate([PreparedSample(np.random.rand(3, 64, 64).astype(np.float32), None, key, (64, 64), targets) for key in "ab"])
    optimizer = make_optimizer(network.named_parameters(), Stage(**{**vars(stage), "lr": stage.lr or 1e-3}))
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for _ in range(2):
        value = torch.stack(list(loss(network(batch.image, batch.targets), batch.targets or {}).values())).sum()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        assert value.isfinite()
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved
    assert not any(name.startswith(stage.frozen or ("\0",)) for name in moved)
