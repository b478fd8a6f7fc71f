"""intarsia tune-crf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from intarsia.cli.console import open_console
from intarsia.cli.options import parse_pairs

if TYPE_CHECKING:
    from intarsia.postprocess.dense_crf import DenseCRF

__all__ = ["tune_crf"]

SHOWN = 5
COLUMNS = {
    "spatial_weight": "spatial weight",
    "spatial_xy": "xy",
    "bilateral_weight": "bilateral weight",
    "bilateral_xy": "xy",
    "bilateral_rgb": "rgb",
}


def tune_crf(
    model: Annotated[str, typer.Argument(help="Model file, such as runs/x/best.safetensors, or a classical method.")],
    data: Annotated[str, typer.Argument(help="Folder with images/ and masks/, a data.yaml, or a data set: camvid:PATH.")],
    out: Annotated[str, typer.Option(help="File for the best settings, which --refine-file reads.")] = "crf.toml",
    split: Annotated[str, typer.Option(help="Whose images: val or train; test should stay unseen.")] = "val",
    trials: Annotated[int, typer.Option(help="How many settings are tried.")] = 40,
    images: Annotated[int, typer.Option(help="At most so many images.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the images and settings that are drawn.")] = 0,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Option of a classical method, such as segments=400. May come again.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Find settings of a fully connected CRF that refine a model's predictions best, by a search on validation images."""
    from intarsia.workflow.tune_crf import tune_crf as run

    console = open_console(stderr=True)

    def show(number: int, count: int, field: DenseCRF, miou: float) -> None:
        if count <= 20 or number % (count // 10) == 0:
            console.print(f"[{number}/{count}] mIoU {miou:.4f}", soft_wrap=True)

    tuned = run(
        model,
        data,
        out=out,
        split=split,
        trials=trials,
        images=images,
        seed=seed,
        options=parse_pairs(options or []),
        device=device,
        progress=show,
    )
    console = open_console()
    table = Table("mIoU", *COLUMNS.values(), title="best settings", title_justify="left", box=None)
    for field, miou in sorted(tuned.trials, key=lambda trial: -trial[1])[:SHOWN]:
        table.add_row(f"{miou:.4f}", *(f"{getattr(field, name):g}" for name in COLUMNS))
    console.print(table)
    best = tuned.best[1]
    console.print(f"mIoU {best:.4f} on the {tuned.images} images that chose it; {tuned.before:.4f} without", highlight=False)
    if best <= tuned.before:
        console.print("note: no setting is better than the predictions as they are; do not refine them.", soft_wrap=True)
    console.print(f"{out}: intarsia evaluate {data} --model {model} --refine-file {out}", soft_wrap=True)
