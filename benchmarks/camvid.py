"""Networks trained from scratch on CamVid's 367 images and tested on its 233, under one recipe or their papers'.

    python benchmarks/camvid.py [NETWORK ...] --data shared/data/camvid --minutes 20 --limit 540

A network is an architecture with options: fc_densenet:layers=67 or pspnet:encoder=resnet18. Without any, all that the table has
no result for. A command that ends early (--limit, Ctrl-C) has saved where it is, and the same command goes on from there. Results
are kept in results/camvid.json; the table and the plot of docs/bench.md are made from it.

The images are decoded once and lie on the device, where whole batches are augmented. Before each training, the network learns for
some steps from a DataLoader that augments image by image, which says what that would have cost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shlex
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from camvid_data import Batches, Device, ResidentSplit
from camvid_table import NETWORKS, write_page
from camvid_training import Clock, Diverged, Stopped, Training
from torch import nn

from intarsia.core import Batch, IntarsiaError, SettingsError
from intarsia.core.errors import memory_ran_out
from intarsia.core.whole_file import written_whole
from intarsia.data.datasets.camvid import CamVid
from intarsia.data.transforms import Augmentation
from intarsia.inference import ModelCard, choose_device, initialise, read_model, write_model
from intarsia.losses import create_loss
from intarsia.models import ModelSpec, spec_of
from intarsia.recipes import Recipe, Stage, load_recipe
from intarsia.training import TrainingStopped
from intarsia.training.fit import _class_weights
from intarsia.training.loaders import FittedSamples, SegmentationData
from intarsia.training.plan import decide, smaller_batches
from intarsia.training.semantic import needed_targets
from intarsia.workflow.hardware import cores_allowed, processor_name

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "camvid.json"
PAPERS = {"unet": "unet_2015", "fcn": "fcn_staged", "segnet": "segnet_camvid", "dilation": "dilation8", "frrn": "frrn_a"}
"""Recipes that are not called as their architecture, or fit CamVid better than the one that is."""


class Bench:
    """The images on the device, and what holds for every network.

    Args:
        data: folder of CamVid.
        runs: the device.
        workers: of the DataLoader that is compared.
        seed: of everything random.
        clock: says when to stop.
    """

    def __init__(self, data: Path, runs: Device, workers: int, seed: int, clock: Clock) -> None:
        self.data, self.runs, self.workers, self.seed, self.clock = CamVid(data), runs, workers, seed, clock
        self.train, self.val, self.test = (ResidentSplit(self.data, name, runs.device) for name in ("train", "val", "test"))
        self.preprocessing = self.train.preprocessing()

    def result(self, network: str, stages: tuple[Stage, ...], folder: Path) -> dict[str, Any]:
        """Train and test a network, or go on with it.

        Args:
            network: as on the command line.
            stages: of its recipe, each with the architecture that it trains.
            folder: for what is saved on the way, and best.safetensors.

        Raises:
            Stopped: the time of the command is up.
            Diverged: the loss is not finite.
            TrainingStopped: there is not enough memory.
            SettingsError: options that cannot be.
        """
        name, own = parse(network)
        done = []
        for number, stage in enumerate(stages, 1):
            training = self._training(stage, own if stage.model == name else {}, folder, number)
            keep = partial(self._keep, folder / f"stage-{number}.safetensors")
            training.run(self.val, keep, self.clock, lambda line: say(f"{network}: {line}"))
            done.append(training)
        model, card = read_model(folder / f"stage-{len(stages)}.safetensors")
        scores = done[-1].evaluate(self.runs.place(model), self.test, self.clock)
        write_model(folder / "best.safetensors", model, replace(card, scores={**card.scores, "test/miou": scores.miou}))
        progress = [training.progress for training in done]
        return {
            "model": card.spec.to_dict(),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "miou": round(scores.miou, 4),
            "accuracy": round(scores.pixel_accuracy, 4),
            "iou": {entry["name"]: entry["iou"] and round(entry["iou"], 4) for entry in scores.to_dict()["classes"]},
            "val_miou": round(progress[-1].best, 4),
            "epochs": sum(one.epoch for one in progress),
            "seconds": round(sum(one.training_s for one in progress), 1),
            "images_per_s": round(sum(one.images for one in progress) / sum(one.training_s for one in progress), 2),
            "speed": done[0].notes["speed"],
            "peak_bytes": max(one.peak_bytes for one in progress),
            "device": self.machine,
            "precision": self.runs.precision,
            "channels_last": self.runs.channels_last,
            "compile": self.runs.compile,
            "torch": torch.__version__,
            "stages": [asdict(training.stage) for training in done],
        }

    @property
    def machine(self) -> str:
        if self.runs.device.type == "cuda":
            return torch.cuda.get_device_name(self.runs.device)
        return f"{processor_name()}, {torch.get_num_threads()} of {cores_allowed()} cores"

    def _keep(self, path: Path, model: nn.Module, miou: float) -> None:
        write_model(path, model, ModelCard(spec_of(model), self.data.classes, self.preprocessing, scores={"val/miou": miou}))

    def _training(self, asked: Stage, own: dict[str, Any], folder: Path, number: int) -> Training:
        """The training of a stage: as it was saved, or a new one, its speed measured and its epochs chosen."""
        path = folder / f"stage-{number}.pt"
        settings = json.dumps([asdict(asked), own, self.runs.precision, self.seed])
        state = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
        if state and state["notes"]["settings"] != settings:
            raise SettingsError(f"{path} is of a training with other settings. Give those, or --again to begin anew.")
        options = {**asked.options, **own}
        trunk = {key: options.pop(key, getattr(asked, key)) for key in ("encoder", "output_stride")}
        spec = ModelSpec(asked.model, len(self.data.classes), 3, options=options, **trunk)
        torch.manual_seed(self.seed)
        model = spec.build(encoder_weights="none")
        if state:
            training = self._made(model, Stage(**state["stage"]), path)
            training.load(state)
            return training
        if asked.init == "previous":
            say(initialise(model, spec, self.data.classes, folder / f"stage-{number - 1}.safetensors"))
        self.runs.forget_peak()
        stage = self._decided(asked)
        while True:
            training = self._made(model, stage, path)
            try:
                speed = self._speed(training)
                break
            except Exception as error:
                if not memory_ran_out(error):
                    raise
            stage = smaller_batches(stage)
            model.zero_grad()
        training.plan(speed["device"], speed["validation_s"])
        training.notes = {"settings": settings, "speed": speed}
        say(f"{asked.model}: {training.epochs} epochs, {speed}")
        training.save()
        return training

    def _decided(self, stage: Stage) -> Stage:
        """The stage with nothing left open but its length; crops no larger than the images."""
        size, on_gpu = self.train.size_hw, self.runs.device.type == "cuda"
        stage = decide(stage, [size], len(self.train), pretrained=stage.init is not None, gpu=on_gpu)
        crop = stage.crop or size
        stage = replace(stage, crop=(min(crop[0], size[0]), min(crop[1], size[1])), precision=self.runs.precision, init=None)
        return _class_weights(stage, FittedSamples(self.data, self.train.keys, self.preprocessing), say)

    def _made(self, model: nn.Module, stage: Stage, path: Path) -> Training:
        weights = None if isinstance(stage.class_weights, str) else stage.class_weights
        loss = create_loss(stage.loss, ignore_id=self.data.classes.ignore_id, class_weight=weights, **stage.loss_options)
        batches = Batches(
            self.train,
            self.preprocessing,
            Augmentation(stage.crop or self.train.size_hw, stage.scale, stage.flip, stage.color),
            self.runs,
            batch=stage.batch or 1,
            accumulate=stage.accumulate,
            seed=self.seed,
            targets=needed_targets(model, loss, 3),
        )
        return Training(self.runs.place(model), loss.to(self.runs.device), stage, batches, self.runs, path)

    def _speed(self, training: Training) -> dict[str, Any]:
        """Images a second: in steps on batches of the device and of a DataLoader, and of these alone; seconds of a validation."""
        warm_up, steps = (5, 20) if self.runs.device.type == "cuda" else (1, 3)
        batches = training.batches
        found = {"device": training.trial(batches.endless(), warm_up, steps)}
        found["device_alone"] = self._rate(batches.endless(), warm_up, 5 * steps)
        samples = FittedSamples(self.data, self.train.keys, self.preprocessing)
        for _ in samples.labels():  # decoded before the workers are forked, which share them
            pass
        made = {"batch": batches.batch, "seed": self.seed, "targets": batches.targets, "workers": self.workers}
        data = SegmentationData(samples, samples, batches.augmentation, pin_memory=self.runs.device.type == "cuda", **made)
        endless = self._endless(data)
        waiting = 2 * self.workers  # batches that the workers have ready when nobody asks
        found["loader"] = training.trial(endless, warm_up + waiting, steps)
        found["loader_alone"] = self._rate(endless, warm_up + waiting, 5 * steps)
        seen = slice(0, batches.batch)
        training.predict(training.model, self.val, seen)
        started = time.perf_counter()
        training.predict(training.model, self.val, seen)
        found["validation_s"] = (time.perf_counter() - started) * len(self.val) / batches.batch
        return {"workers": self.workers, **{name: round(number, 2) for name, number in found.items()}}

    def _endless(self, data: SegmentationData) -> Iterator[Batch]:
        loader = data.train_dataloader()
        for epoch in itertools.count():
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                moved = data.transfer_batch_to_device(batch, self.runs.device, 0)
                yield moved._replace(image=self.runs.lay(moved.image))

    def _rate(self, batches: Iterator[Batch], warm_up: int, count: int) -> float:
        """Images a second of batches that nobody learns from."""
        for _ in range(warm_up):
            next(batches)
        self.runs.wait()
        started = time.perf_counter()
        images = sum(len(next(batches).keys) for _ in range(count))
        self.runs.wait()
        return images / (time.perf_counter() - started)


def parse(network: str) -> tuple[str, dict[str, Any]]:
    """Architecture and options of NAME:KEY=VALUE,..."""
    name, _, rest = network.partition(":")
    return name, dict(setting(part) for part in re.split(r",(?![^\[]*\])", rest) if part)  # commas in lists aside


def setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value as TOML writes it; what TOML does not understand is a text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{text!r} is not KEY=VALUE.")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def stages_of(network: str, arguments: argparse.Namespace) -> tuple[Stage, ...]:
    """The stages that a network is trained in, from scratch and on images at their own size."""
    name, _ = parse(network)
    is_paper = arguments.recipe == "paper"
    recipe: Recipe = load_recipe(PAPERS.get(name, name) if is_paper else arguments.recipe or HERE / "camvid.toml")
    given = dict(setting(text) for text in arguments.set)
    recipe = recipe.override(time_s=arguments.minutes and 60 * arguments.minutes, **given)
    return tuple(
        replace(stage, model=stage.model if is_paper else name, encoder_weights="none", imgsz=None) for stage in recipe.stages
    )


def command_for(network: str, arguments: argparse.Namespace) -> str:
    """What trains this network again, but for where the data is."""
    words = ["python", "benchmarks/camvid.py", network]
    for option in ("recipe", "minutes", "precision", "compile", "seed"):
        if value := getattr(arguments, option):
            words += [f"--{option}", f"{value:g}" if isinstance(value, float) else str(value)]
    for text in arguments.set:
        words += ["--set", text]
    return shlex.join(words if arguments.channels_last else [*words, "--no-channels-last"])


def read_results() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def write_results(rows: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with written_whole(RESULTS) as partial:
        partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    write_page(rows)


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="NAME or NAME:KEY=VALUE,...")
    parser.add_argument("--data", type=Path, required=True, help="folder of CamVid")
    parser.add_argument(
        "--recipe", help="paper, or a recipe file or name for every network; without it, camvid.toml beside this file"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe")
    parser.add_argument("--minutes", type=float, help="time to train a network, validations included; fewer epochs then")
    parser.add_argument("--limit", type=float, help="seconds after which this command stops; leave it half a minute to save")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("32", "bf16"), help="bf16 where the hardware has it, unless given")
    parser.add_argument(
        "--compile", metavar="MODE", help="torch.compile the training step: default, reduce-overhead, max-autotune"
    )
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--workers", type=int, help="of the DataLoader that is compared; 4 beside a GPU, else 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/camvid"), help="folder for what is saved on the way")
    parser.add_argument("--again", action="store_true", help="forget what there is of these networks first")
    arguments = parser.parse_args()
    clock = Clock(arguments.limit)
    clock.listen()
    rows = read_results()
    suffix = f" ({Path(arguments.recipe).stem})" if arguments.recipe else ""
    wanted = {network + suffix: network for network in arguments.networks or NETWORKS}
    folders = {key: arguments.runs / re.sub(r"[^\w=.,-]+", "_", key) for key in wanted}
    if arguments.again:
        for key, folder in folders.items():
            rows.pop(key, None)
            shutil.rmtree(folder, ignore_errors=True)
    stages = {key: stages_of(network, arguments) for key, network in wanted.items() if key not in rows}
    if not stages:
        say("There is nothing to do: every network has its result. --again trains it anew.")
        return write_results(rows)

    device = choose_device(arguments.device)
    on_gpu = device.type == "cuda"
    torch.backends.cudnn.benchmark = True  # all batches have one size
    torch.set_float32_matmul_precision("high")
    precision = arguments.precision or decide(Stage(), [(1, 1)], 1, pretrained=False, gpu=on_gpu).precision or "32"
    runs = Device(device, precision, arguments.channels_last, arguments.compile)
    workers = (4 if on_gpu else 0) if arguments.workers is None else arguments.workers
    bench = Bench(arguments.data, runs, workers, arguments.seed, clock)
    for key, its_stages in stages.items():
        command = command_for(wanted[key], arguments)
        try:
            rows[key] = {**bench.result(wanted[key], its_stages, folders[key]), "command": command}
        except Stopped:
            say(f"{key}: stopped and saved; the same command goes on")
            return None
        except (Diverged, TrainingStopped) as error:
            rows[key] = {"failed": str(error), "device": bench.machine, "command": command}
        say(f"{key}: " + (f"test mIoU {rows[key]['miou']}" if "miou" in rows[key] else rows[key]["failed"]))
        for left in folders[key].glob("stage-*"):
            left.unlink()
        write_results(rows)
    return None


if __name__ == "__main__":
    try:
        main()
    except IntarsiaError as error:
        sys.exit(str(error))
