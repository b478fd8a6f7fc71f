"""Whole trainings of tiny instance networks on a few drawn objects, and what only they have."""

import io
import math
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from rich.console import Console

from intarsia.core import ClassSpace, InstanceMasks, Instances, LabelMap, Output, Sample, SettingsError
from intarsia.data.collate import collate
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference import load, read_model_card
from intarsia.models import create_model
from intarsia.recipes import Stage
from intarsia.training import Machine, read_history, train_stage
from intarsia.training.loaders import FittedSamples, ValidationSamples
from intarsia.training.objects import InstanceModule, ObjectLoss, own_loss

SPACE = ClassSpace.from_names(["ground", "square"])
OPTIONS = {"width": 4, "depths": (1, 1, 1, 1), "channels": 4}
STAGE = Stage("ternausnet_v2", options=OPTIONS, epochs=2, lr=5e-3, scale=(0.8, 1.25), precision="32", batch=2)


class Squares:
    """Bright squares on a dark ground, some of which touch; in the first picture of a split there is none."""

    name, task, classes, notes = "squares", "instance", SPACE, ()
    splits = MappingProxyType({"train": [f"train/{i}" for i in range(6)], "val": ["val/0", "val/1"]})

    def read(self, key: str) -> Sample:
        number = int(key.split("/")[1])
        ids = np.zeros((32, 40), np.uint8)
        if number:
            ids[4:14, 2 + number : 12 + number] = 1
            ids[4:14, 12 + number : 22 + number] = 2
            ids[20:30, 6:16] = 3
        image = np.where(ids > 0, 180 + 20 * ids, 30)[..., None].repeat(3, 2).astype(np.uint8)
        return Sample(image, (Instances.from_ids(ids, SPACE, 1),), key)


def run(out, stage=STAGE, *, dataset=None, resume=False):
    console = Console(file=io.StringIO())
    machine = Machine(device="cpu")
    result = train_stage(stage, dataset or Squares(), out, seed=0, machine=machine, console=console, resume=resume)
    return result, console.file.getvalue()


def test_a_training_from_objects_to_a_predictor(tmp_path):
    result, said = run(tmp_path, replace(STAGE, ema=0.9))
    assert "15 objects in 6 training images" in said
    assert "AP 0." in said
    assert "mIoU" not in said
    assert len(result.history) == 2
    assert result.history[1]["train/loss"] < result.history[0]["train/loss"]
    for row in result.history:
        assert row["train/loss"] == pytest.approx(row["train/loss/objects"] + row["train/loss/borders"], rel=1e-5)
        assert row["val/loss"] == pytest.approx(row["val/loss/objects"] + row["val/loss/borders"], rel=1e-5)
        assert 0 <= row["val/ap"] <= row["val/ap_50"] <= 1
        assert row["val/ap/square"] == row["val/ap"]
    assert set(read_history(tmp_path)[0]) >= {"val/ap", "val/loss", "train/loss/borders"}
    card = read_model_card(result.best)
    assert (card.task, card.spec.num_classes, card.scores["val/ap"]) == ("instance", 1, max(r["val/ap"] for r in result.history))
    assert result.stage.loss == "objects_and_borders"
    assert result.stage.class_weights == "none"
    assert isinstance(load(result.best).predict(Squares().read("val/1").image), Instances)


def test_the_same_again_and_with_gathered_gradients(tmp_path):
    first, _ = run(tmp_path / "a", replace(STAGE, epochs=1))
    again, _ = run(tmp_path / "b", replace(STAGE, epochs=1))
    gathered, _ = run(tmp_path / "c", replace(STAGE, epochs=1, batch=1, accumulate=2))
    assert first.history == again.history
    assert math.isfinite(gathered.history[0]["val/loss"])


def test_steps_that_are_not_finite_end_with_a_dump(tmp_path):
    from intarsia.training import TrainingStopped

    with pytest.raises(TrainingStopped, match="20 steps in a row"):
        run(tmp_path, replace(STAGE, epochs=12, optimizer="sgd", lr=1e38, warmup=0.0))
    kept = torch.load(tmp_path / "not_finite.ckpt", weights_only=True)
    assert kept["targets"]["touching_borders"].shape == (2, 2, 32, 40)


def truths():
    data = Squares()
    fitted = FittedSamples(data, data.splits["val"], Preprocessing((0.0,) * 3, (1.0,) * 3))
    samples = ValidationSamples(fitted, ("objects",))
    return collate([samples[0], samples[1]])


class Oracle(torch.nn.Module):
    """A detector that knows: in evaluation its answers are the truth, moved by `shift` pixels; in training it samples."""

    DECODER = "paste_masks"

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.weight, self.norm, self.shift = torch.nn.Parameter(torch.ones(())), torch.nn.BatchNorm1d(1), shift

    def forward(self, image, targets):
        boxes, count = targets["objects.boxes_xyxy"], len(targets["objects.image"])
        if self.training:
            noise = self.norm(torch.rand(8, 1))
            return Output(noise * self.weight, parts={"boxes": boxes})
        score = torch.linspace(0.9, 0.5, count)
        shifted = boxes + torch.tensor([0.0, self.shift, 0.0, self.shift])
        grids = torch.full((count, 14, 14), 8.0)
        found = {"boxes_xyxy": shifted, "class_index": targets["objects.class_index"], "score": score, "mask_logits": grids}
        return Output(torch.zeros(count, 2), parts={**found, "image_index": targets["objects.image"]})


class NoiseLoss(torch.nn.Module):
    def forward(self, output, _targets):
        return {"noise": output.logits.square().mean()}


class Alone:
    world_size = 1


@pytest.mark.parametrize(("shift", "ap"), [(0.0, 1.0), (2.0, 0.4), (8.0, 0.0)])
def test_detections_are_scored_against_the_objects_of_their_image(shift, ap):
    """A square of 10 moved by 2 has IoU 80 / 120 = 0.67 and is found at four of the ten thresholds."""
    module = InstanceModule(Oracle(shift), NoiseLoss(), SPACE, replace(STAGE, lr=0.1), 1, 0)
    module._trainer, module._begin_epoch = Alone(), lambda: None
    module._losses = {"val/loss": []}
    batch = truths()
    assert [len(truth) for truth in batch.truths] == [0, 3]
    mean = module.model.norm.running_mean.clone()
    module.eval().validation_step(batch, 0)
    values, suspicion = module.scores()
    assert values["val/ap"] == pytest.approx(ap, abs=0.02)
    assert suspicion is None
    assert torch.equal(module.model.norm.running_mean, mean), "a look at the loss changes no statistics"
    assert not module.model.training
    losses = module._losses["val/loss"]
    module.validation_step(batch, 0)
    assert losses[0][0] == losses[1][0], "the same proposals are sampled in each epoch"


def test_no_object_found_is_suspicious():
    module = InstanceModule(Oracle(), NoiseLoss(), SPACE, replace(STAGE, lr=0.1), 1, 0)
    module._trainer = Alone()
    batch = truths()
    nothing = {name: target[:0] for name, target in batch.targets.items()}
    output = module.model.eval()(batch.image, nothing)
    pairs = zip(batch.truths, batch.keys, strict=True)
    module._evidence = [module.observe(output, index, truth, key) for index, (truth, key) in enumerate(pairs)]
    values, suspicion = module.scores()
    assert values["val/ap"] == 0
    assert suspicion.startswith("No object was found in any validation image")


def test_the_lowest_loss_is_best_while_nothing_is_found(tmp_path):
    from intarsia.training.checkpoints import Checkpoints

    class Trainer:
        current_epoch, global_step, is_global_zero, optimizers = 0, 1, False, [torch.optim.SGD([torch.zeros(1)], 0.1)]

        def save_checkpoint(self, path):
            pass

    saved, trainer, best = Checkpoints(tmp_path, read_card(), "val/ap"), Trainer(), []
    for epoch, (ap, loss) in enumerate([(0.0, 3.0), (0.0, 2.0), (0.0, 2.5), (0.1, 9.0), (0.1, 1.0), (0.0, 0.5)]):
        trainer.current_epoch = epoch
        trainer.callback_metrics = {"val/ap": ap, "val/loss": loss}
        saved.on_train_epoch_end(trainer, None)
        best.append(saved.best_epoch)
    assert best == [0, 1, 1, 3, 3, 3]


def read_card():
    from intarsia.inference import ModelCard
    from intarsia.models import ModelSpec

    return ModelCard(ModelSpec("ternausnet_v2", 1, options=OPTIONS), SPACE, Preprocessing((0.0,) * 3, (1.0,) * 3), "instance")


def test_what_does_not_fit_is_said(tmp_path):
    class Labels(Squares):
        task = "semantic"

        def read(self, key):
            return Sample(super().read(key).image, (LabelMap(super().read(key).truth.to_ids() * 0, SPACE),), key)

    class Empty(Squares):
        def read(self, key):
            none = Instances(InstanceMasks.pack([], (32, 40)), np.zeros(0, np.int32), SPACE)
            return Sample(super().read(key).image, (none,), key)

    class Specks(Squares):
        def read(self, key):
            ids = np.zeros((64, 80), np.uint8)
            ids[0, 0] = 1
            return Sample(np.zeros((64, 80, 3), np.uint8), (Instances.from_ids(ids, SPACE, 1),), key)

    with pytest.raises(SettingsError, match=r'squares is opened for semantic segmentation.*open the data with view="instance"'):
        run(tmp_path, dataset=Labels())
    with pytest.raises(SettingsError, match=r"Not one object is left in the 6 training images of squares, of 0 at"):
        run(tmp_path, dataset=Empty())
    with pytest.raises(SettingsError, match=r"Not one object is left in the 6 .*, of 6 at their own size.*--imgsz"):
        run(tmp_path, replace(STAGE, imgsz=(32, 32)), dataset=Specks())
    with pytest.raises(SettingsError, match=r"learns from its own loss, objects_and_borders, and 'dice' was asked for, one of"):
        run(tmp_path, replace(STAGE, loss="dice"))
    with pytest.raises(SettingsError, match=r"takes no class weights, and 'log' were asked for"):
        run(tmp_path, replace(STAGE, class_weights="log"))
    with pytest.raises(SettingsError, match=r"'objects_and_borders' has no option 'blance'\. Did you mean 'balance'"):
        run(tmp_path, replace(STAGE, loss_options={"blance": 0.5}))


def test_the_loss_of_a_stage_is_that_of_the_network():
    model = create_model("ternausnet_v2", num_classes=1, **OPTIONS)
    stage = own_loss(Stage("ternausnet_v2", loss_options={"balance": 0.4}), model)
    assert (stage.loss, stage.loss_options, stage.class_weights) == ("objects_and_borders", {"balance": 0.4}, "none")
    assert own_loss(stage, model) == stage
    loss = ObjectLoss(stage.loss, stage.loss_options)
    image = torch.rand(1, 3, 16, 16)
    terms = loss(model(image), {"touching_borders": torch.zeros(1, 2, 16, 16, dtype=torch.uint8)})
    assert set(terms) == {"objects", "borders"}
