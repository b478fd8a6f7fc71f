"""demo: the whole way on the embedded data set, in minutes, with nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.data.datasets import open_dataset
from intarsia.recipes import load_recipe
from intarsia.workflow.train import Run, train

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Demo", "demo"]

PICTURES = 4


@dataclass(frozen=True)
class Demo:
    """The demo's run, its predictions of the test images, and a picture of some of them."""

    run: Run
    predictions: Path
    picture: Path


def demo(
    *, out: str | Path = "runs/demo", epochs: int | None = None, device: str = "auto", console: Console | None = None
) -> Demo:
    """Train on `scenes`, score, predict test images, and write a report and a picture.

    Args:
        out: folder of the run; a demo that is there already is replaced.
        epochs: fewer for a quick look.
        device: where it runs.
        console: where to print.
    """
    from intarsia.data.formats import write_image
    from intarsia.viz.panel import panel
    from intarsia.workflow.predict import predict
    from intarsia.workflow.predictors import open_predictor

    out = Path(out)
    recipe = load_recipe("demo")
    run = train(recipe=recipe, epochs=epochs, out=out, overwrite=True, device=device, console=console)
    dataset = open_dataset(run.recipe.data or "scenes")
    samples = [dataset.read(key) for key in dataset.splits["test"][:PICTURES]]
    for sample in samples:
        write_image(out / "photos" / f"{Path(sample.key).name}.png", sample.image)
    predict([out / "photos"], model=run.best, out=out / "predictions", device=device)
    predictor = open_predictor(run.best, device=device)
    rows = [(sample.key, sample.image, sample.truth, predictor.predict(sample.image)) for sample in samples]
    picture = write_image(out / "demo.png", panel(rows))
    return Demo(run, out / "predictions", picture)
