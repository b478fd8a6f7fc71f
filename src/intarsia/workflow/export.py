"""export: a model file in, a network for other programs out, which was compared with the model on images first."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import Array, IntarsiaError, SettingsError, as_image
from intarsia.data.formats import read_image
from intarsia.recipes.run_files import BEST
from intarsia.workflow.predict import find_images

if TYPE_CHECKING:
    from torch import Tensor

    from intarsia.exporting import Parity
    from intarsia.inference import ModelCard

__all__ = ["Exported", "export"]

NAME = "model"
RUNNER = "run_onnx.py"


@dataclass(frozen=True)
class Exported:
    """What was written: the network, the JSON beside it, and for ONNX with classes a file that runs it without torch."""

    path: Path
    sidecar: Path
    runner: Path | None
    parity: Parity


def export(
    model: str | Path,
    *,
    out: str | Path,
    to: str = "onnx",
    images: Sequence[str | Path] = (),
    count: int = 8,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Write a network for programs that do not know Intarsia, and prove on images that it is the same.

    Writes under `out`: `model.onnx` (or `.torchscript`, `.pt2`), which takes one prepared image (1, C, H, W) of any size;
    `model.onnx.json` with classes and preprocessing; and of ONNX networks that give each pixel a class `run_onnx.py`, which needs
    numpy and onnxruntime alone. All is written once the comparison has held, and nothing before.

    Args:
        model: a model file or the folder of a run.
        out: folder, made if it does not exist.
        to: "onnx", "torchscript" or "torch-export".
        images: files, folders and patterns that both are compared on; none takes the data that the model was trained on.
        count: at most so many images.
        progress: told what is being done.

    Raises:
        ModelFileError: labels differ in more than a thousandth of the pixels of an image, or maps as much; or no model file.
        SettingsError: a target that there is not, a network that cannot be exported, or no images.
    """
    from intarsia.exporting import compare, export_graph
    from intarsia.inference import read_model
    from intarsia.inference.exported import open_exported
    from intarsia.inference.sidecar import SUFFIXES, write_sidecar

    def say(text: str) -> None:
        if progress is not None:
            progress(text)

    if to not in SUFFIXES:
        raise SettingsError(f"The target of an export can be {', '.join(SUFFIXES)}; {to!r} was given.")
    if count < 1:
        raise SettingsError(f"The export is compared on {count} images; at least one is needed.")
    source, out = _model_file(Path(model)), Path(out)
    network, card = read_model(source)
    seen = _images_of(card, source, images, count)
    first = next(seen, None)
    if first is None:
        raise SettingsError(f"The data that {source} was trained on have no images to compare on. Give some: --images FOLDER.")
    say(f"writing {card.spec.name} as {to}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as folder:
        draft = Path(folder) / f"{NAME}{SUFFIXES[to]}"
        outputs = export_graph(network, draft, to, in_channels=card.spec.in_channels)
        say("comparing it with the model")
        parity = compare(network, open_exported(draft, outputs), _prepared(card, first, seen))
        parity.check()
        write_sidecar(draft, card, outputs, parity.to_dict())
        for file in sorted(Path(folder).iterdir()):
            file.replace(out / file.name)
    path, runner = out / draft.name, None
    if to == "onnx" and card.task == "semantic":
        runner = out / RUNNER
        shutil.copyfile(Path(__file__).parents[1] / "exporting" / RUNNER, runner)
    return Exported(path, out / f"{path.name}.json", runner, parity)


def _model_file(model: Path) -> Path:
    from intarsia.inference.sidecar import SUFFIXES

    if model.suffix in SUFFIXES.values():
        raise SettingsError(f"{model} is exported already. Give the model file that it was made from, such as runs/x/{BEST}.")
    return model / BEST if (model / BEST).is_file() else model


def _images_of(card: ModelCard, source: Path, images: Sequence[str | Path], count: int) -> Iterator[Array]:
    """At most `count` images that were named, or else of the data that the model was trained on, validation first."""
    if images:
        found = [path for path, _ in find_images(images)]
        yield from (read_image(path) for path in found[:count])
        return
    try:
        from intarsia.data.datasets import open_dataset

        dataset = open_dataset(tomllib.loads(card.history["recipe"])["data"])
        keys = [key for split in sorted(dataset.splits, key=lambda name: name != "val") for key in dataset.splits[split]]
        pictures = [dataset.read(key).image for key in keys[:count]]
    except (KeyError, tomllib.TOMLDecodeError, IntarsiaError) as error:
        reason = str(error) if isinstance(error, IntarsiaError) else "it does not say what it was trained on."
        raise SettingsError(
            f"An export is compared with its model on images, and those that {source} was trained on cannot be had: {reason} "
            "Give some: --images FOLDER."
        ) from error
    yield from pictures


def _prepared(card: ModelCard, first: Array, others: Iterator[Array]) -> Iterator[Tensor]:
    import torch

    for image in (first, *others):
        yield torch.from_numpy(card.preprocessing.normalize(card.preprocessing.fit(as_image(image))))
