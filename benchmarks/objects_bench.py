"""What the benches of objects have in common: data at one size, a training that can be stopped, rows, and their table."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from camvid import parse, setting
from rich.console import Console

from intarsia.core import Dataset, Instances, Panoptic, Predictor, Sample
from intarsia.core.whole_file import written_whole
from intarsia.data.preprocessing import Preprocessing, resize_image
from intarsia.data.resampling import fit_truth
from intarsia.evaluation import ObjectEvaluation, evaluate
from intarsia.inference import choose_device, load
from intarsia.recipes import Stage
from intarsia.recipes.run_files import BEST, RESUME
from intarsia.training import Machine, TrainingInterrupted, read_history, train_stage
from intarsia.workflow.hardware import cores_allowed, processor_name

HERE = Path(__file__).resolve().parent
CPU_SECONDS = "cpu_seconds"
SETTINGS = Path(__file__).with_name("objects.toml")
PAGE = HERE.parent / "docs" / "bench.md"

Row = dict[str, Any]


class AtOneSize:
    """A data set whose images and truths are fitted into a square, so that whatever is scored is scored at that size."""

    def __init__(self, dataset: Dataset, side: int) -> None:
        self.name, self.task, self.classes, self.splits = dataset.name, dataset.task, dataset.classes, dataset.splits
        self.notes = [*dataset.notes, f"All images are fitted into {side} x {side} pixels."]
        self._dataset, self._fit = dataset, Preprocessing((), (), (side, side))

    def read(self, key: str) -> Sample:
        sample = self._dataset.read(key)
        size_hw = self._fit.fitted_size(sample.size_hw)
        truths = tuple(fit_truth(truth, size_hw) for truth in sample.truths if isinstance(truth, Instances | Panoptic))
        return Sample(resize_image(sample.image, size_hw), truths, key)


@dataclass(frozen=True)
class Bench:
    """What a bench is about.

    script: file name of the command.
    data: what is learnt and scored, at one size.
    networks: all that the table has a row for.
    figures: score of the table to what it is of an evaluation; the first is the one rows are sorted by.
    classical: rows of methods that learn nothing, made anew by the call.
    """

    script: str
    data: AtOneSize
    networks: tuple[str, ...]
    figures: Mapping[str, Callable[[ObjectEvaluation], float]]
    classical: Callable[[], Iterable[tuple[str, Row]]] = tuple

    @property
    def results(self) -> Path:
        return HERE / "results" / f"{Path(self.script).stem}.json"

    def score(self, predictor: Predictor) -> Row:
        """The figures of a predictor on val, and how long it took."""
        found = evaluate(predictor, self.data, "val")
        if not isinstance(found, ObjectEvaluation):
            raise TypeError("These data have no objects.")
        metric, name = found.main
        interval = found.intervals[metric].of(name)
        figures = {title: round(float(figure(found)), 4) for title, figure in self.figures.items()}
        return {**figures, f"{name}_interval_95": [round(bound, 4) for bound in interval], "seconds_per_image": _each(found)}

    def train(self, network: str, arguments: argparse.Namespace) -> Row:
        """Train a network, or go on with it, and score its best epoch.

        Raises:
            TrainingInterrupted: the command's time is up; the same command goes on.
        """
        folder = arguments.runs / re.sub(r"[^\w=.,-]+", "_", network)
        if arguments.again:
            shutil.rmtree(folder, ignore_errors=True)
        stage, console = stage_of(network, arguments), Console(highlight=False, width=160)
        machine = Machine(arguments.device, workers=arguments.workers)
        if not (folder / BEST).exists() or (folder / RESUME).exists():
            with _processor_time(folder):
                train_stage(
                    stage,
                    self.data,
                    folder,
                    seed=arguments.seed,
                    machine=machine,
                    console=console,
                    resume=True,
                    decided=lambda stage: {"stage": {name: value for name, value in vars(stage).items() if value is not None}},
                )
        history = read_history(folder)
        decoder = self.decoder(stage.model, folder / BEST, arguments.device)
        predictor = load(folder / BEST, device=arguments.device, options=decoder)
        return {
            **self.score(predictor),
            "decoder": decoder,
            "cpu_minutes": round(float((folder / CPU_SECONDS).read_text()) / 60, 1),
            "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
            "epochs": len(history),
            "first_and_last_loss": [round(history[at]["train/loss"], 4) for at in (0, -1)],
            "model": predictor.card.spec.to_dict(),
            "stage": predictor.card.history["stage"],
            "torch": torch.__version__,
        }

    def decoder(self, model: str, file: Path, device: str) -> dict[str, Any]:
        """Of the settings in `decode` those that are best on every fourth image of train, where the first figure is measured."""
        grid = tomllib.loads(SETTINGS.read_text(encoding="utf-8")).get("decode", {}).get(model, {})
        few = self.data.splits["train"][::4]
        measure = next(iter(self.figures.values()))
        best, settings = -1.0, dict[str, Any]()
        for values in product(*grid.values()) if grid else ():
            tried = dict(zip(grid, values, strict=True))
            found = evaluate(load(file, device=device, options=tried), self.data, "train", keys=few)
            if isinstance(found, ObjectEvaluation) and measure(found) > best:
                best, settings = measure(found), tried
        return settings

    def run(self, arguments: argparse.Namespace) -> None:
        """Train what was asked for and has no result yet; after each, the results and the page are written."""
        about = {"device": machine_name(arguments.device), "size": arguments.size}
        if arguments.classical:
            for name, row in self.classical():
                self.keep({name: {**row, **about, "command": command_of(self.script, "", arguments)}})
        wanted = [network for network in arguments.networks if arguments.again or network not in self.rows()]
        for network in wanted:
            timer = _stop_after(arguments.limit)
            try:
                row = self.train(network, arguments)
            except TrainingInterrupted:
                print(f"{network}: stopped and saved; the same command goes on", flush=True)
                return
            finally:
                timer.cancel()
            print(f"{network}: {[row[title] for title in self.figures]}", flush=True)
            self.keep(
                {network: {**row, **about, "minutes": arguments.minutes, "command": command_of(self.script, network, arguments)}}
            )
        self.keep({})

    def rows(self) -> dict[str, Row]:
        """All that has been measured."""
        rows: dict[str, Row] = json.loads(self.results.read_text(encoding="utf-8")) if self.results.exists() else {}
        return rows

    def keep(self, new: Mapping[str, Row]) -> None:
        """Add rows to what is in the file by now, since two benches may run at a time, and write the page."""
        rows = {**self.rows(), **new}
        self.results.parent.mkdir(exist_ok=True)
        with written_whole(self.results) as partial:
            partial.write_text(json.dumps(rows, indent=1, default=list) + "\n", encoding="utf-8")
        mark = f"made by benchmarks/{self.script}"
        begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
        before, found, rest = PAGE.read_text(encoding="utf-8").partition(begin)
        if found:
            _, _, after = rest.partition(end)
            with written_whole(PAGE) as partial:
                partial.write_text(f"{before}{begin}\n\n{self.table(rows)}\n\n{end}{after}", encoding="utf-8")

    def table(self, rows: Mapping[str, Row]) -> str:
        """Results from the best down, then what was not trained yet."""
        first = next(iter(self.figures))
        done = sorted(rows, key=lambda name: -rows[name][first])
        missing = [name for name in self.networks if not any(name == done_name.split(":")[0] for done_name in done)]
        head = ("method", *self.figures, "parameters", "epochs", "training", "size", "device")
        cells = [_cells(name, rows[name], self.figures) for name in done]
        cells += [(f"`{name}`", "*not trained yet*", *[""] * (len(head) - 2)) for name in missing]
        return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *cells))


def _cells(name: str, row: Row, figures: Iterable[str]) -> tuple[str, ...]:
    trained = ("", "", "")
    if "epochs" in row:
        trained = (f"{row['parameters']:,}", str(row["epochs"]), f"{row['cpu_minutes']:g} min")
    return (f"`{name}`", *(f"{row[title]:.3f}" for title in figures), *trained, str(row["size"]), row["device"])


def stage_of(network: str, arguments: argparse.Namespace) -> Stage:
    """The stage that trains NAME:KEY=VALUE,...: the bench's recipe, what is small, and what was given."""
    name, own = parse(network)
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    small = settings["small"].get(name, {}) if arguments.small else {}
    given = dict(setting(text) for text in arguments.set)
    trunk = {key: own.pop(key) for key in ("encoder", "output_stride") if key in own}
    options = {**small.get("options", {}), **own}
    merged = {**settings["recipe"], **small, **trunk, **given, "options": options}
    stage = Stage(model=name, imgsz=arguments.size, **merged)
    return replace(stage, time_s=60 * arguments.minutes) if arguments.minutes else stage


def arguments_of(doc: str | None, networks: tuple[str, ...], runs: str) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="NAME or NAME:KEY=VALUE,...; all when none is named")
    parser.add_argument("--data", help="folder, or generated data with their options")
    parser.add_argument("--size", type=int, default=128, help="side in pixels at which all is trained and scored")
    parser.add_argument("--minutes", "--time", type=float, help="for the training of each network; chooses its epochs")
    parser.add_argument("--limit", type=float, help="seconds after which a training stops, to be gone on with")
    parser.add_argument("--small", action="store_true", help="narrow networks, see objects.toml")
    parser.add_argument("--classical", action="store_true", help="score methods that learn nothing too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path(runs), help="folder for what is saved on the way")
    parser.add_argument("--again", action="store_true", help="train anew what has a result")
    parser.add_argument("--table", action="store_true", help="only write the page from the results there are")
    arguments = parser.parse_args()
    if arguments.table:
        arguments.networks = []
    elif not arguments.networks and not arguments.classical:
        arguments.networks = list(networks)
    return arguments


def command_of(script: str, network: str, arguments: argparse.Namespace) -> str:
    """What makes this row again, but for where the data is."""
    words = ["python", f"benchmarks/{script}", *([network] if network else ["--classical"]), "--size", str(arguments.size)]
    words += ["--data", arguments.data] if arguments.data and not Path(arguments.data).exists() else []
    if network:
        words += ["--small"] if arguments.small else []
        words += ["--minutes", f"{arguments.minutes:g}"] if arguments.minutes else []
        words += ["--seed", str(arguments.seed)] if arguments.seed else []
        words += [word for text in arguments.set for word in ("--set", text)]
    return shlex.join(words)


def machine_name(device: str) -> str:
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    return f"{processor_name()}, {torch.get_num_threads()} of {cores_allowed()} cores"


@contextmanager
def _processor_time(folder: Path) -> Iterator[None]:
    """Add the processor seconds of what is done within to those of the runs before; the machine may be shared by others."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, started = folder / CPU_SECONDS, time.process_time()
    before = float(kept.read_text()) if kept.exists() else 0.0
    try:
        yield
    finally:
        kept.write_text(f"{before + time.process_time() - started:.1f}")


def _stop_after(limit_s: float | None) -> threading.Timer:
    """Press Ctrl-C after so many seconds, which training takes as a wish to stop and go on later."""
    timer = threading.Timer(limit_s or 0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.daemon = True
    if limit_s:
        timer.start()
    return timer


def _each(found: ObjectEvaluation) -> float:
    return round(found.seconds / max(1, found.images), 3)
