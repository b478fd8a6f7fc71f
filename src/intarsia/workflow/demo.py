"""demo: the whole way on the embedded data set, in minutes, with nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from intarsia.core import SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.recipes import Recipe, load_recipe
from intarsia.recipes.run_files import RECIPE
from intarsia.workflow.run_folder import RunFolder
from intarsia.workflow.sources import lasting_source
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
    *,
    out: str | Path = "runs/demo",
    epochs: int | None = None,
    recipe: str | Path | Recipe = "demo",
    device: str = "auto",
    console: Console | None = None,
) -> Demo:
    """Train on `scenes`, score, predict test images, and write a report and a picture.

    Args:
        out: folder of the run; a demo that is there already is replaced.
        epochs: fewer for a quick look.
        recipe: another than the demo's own; its data need a split "test".
        device: where it runs.
        console: where to print.

    Raises:
        SettingsError: `out` holds a run of another recipe.
    """
    from intarsia.data.formats import write_image
    from intarsia.viz.panel import panel
    from intarsia.workflow.predict import predict
    from intarsia.workflow.predictors import open_predictor

    out = Path(out)
    plan = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    _refuse_other_run(out, plan)
    run = train(recipe=plan, epochs=epochs, out=out, overwrite=True, device=device, console=console)
    dataset = open_dataset(run.recipe.data or "scenes")
    samples = [dataset.read(key) for key in dataset.splits["test"][:PICTURES]]
    for sample in samples:
        write_image(out / "photos" / f"{Path(sample.key).name}.png", sample.image)
    predict([out / "photos"], model=run.best, out=out / "predictions", device=device)
    predictor = open_predictor(run.best, device=device)
    rows = [(sample.key, sample.image, sample.truth, predictor.predict(sample.image)) for sample in samples]
    picture = write_image(out / "demo.png", panel(rows))
    return Demo(run, out / "predictions", picture)


def _refuse_other_run(out: Path, plan: Recipe) -> None:
    """The demo replaces an earlier demo without asking, and nothing else."""
    if not RunFolder(out).holds_run():
        return
    kept = load_recipe(out / RECIPE)
    networks = [[(stage.model, dict(stage.options)) for stage in recipe.stages] for recipe in (kept, plan)]
    data = lasting_source(plan.data) if plan.data else None
    if kept.data != data or networks[0] != networks[1]:
        raise SettingsError(f"The run in {out} is not a demo of this version and stays. Choose another --out, or delete it.")
