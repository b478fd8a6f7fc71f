"""intarsia fit-region-crf."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from intarsia.cli.console import open_console

__all__ = ["fit_region_crf"]

SHOWN = 5


def fit_region_crf(
    model: Annotated[str, typer.Argument(help="Model file or folder of a run, such as runs/x.")],
    data: Annotated[str, typer.Argument(help="Folder with images/ and masks/, a data.yaml, or a data set: camvid:PATH.")],
    out: Annotated[str, typer.Option(help="File for what is learnt, which --refine-file reads.")] = "region_crf.toml",
    split: Annotated[str, typer.Option(help="Whose images: val; the model knows train, and test should stay unseen.")] = "val",
    images: Annotated[int, typer.Option(help="At most so many images.")] = 20,
    segments: Annotated[int, typer.Option(help="Superpixels an image is cut into, about; 0 for pixels.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the images that are drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Learn how classes lie to each other, from validation images, to refine a model's predictions."""
    from intarsia.workflow.fit_region_crf import fit_region_crf as run

    fitted = run(model, data, out=out, split=split, images=images, segments=segments, seed=seed, device=device)
    console, field = open_console(), fitted.field
    pairs = [
        (value, f"{upper} above {lower}")
        for upper, row in zip(field.classes, field.above, strict=True)
        for lower, value in zip(field.classes, row, strict=True)
        if upper != lower
    ]
    table = Table("nats", "", title="most and least expected", title_justify="left", box=None)
    for value, words in (ranked := sorted(pairs, reverse=True))[:SHOWN] + ranked[SHOWN:][-SHOWN:]:
        table.add_row(f"{value:+.2f}", words)
    console.print(table)
    console.print(
        f"mIoU {fitted.after:.4f} on the {fitted.images} images that it learnt from; {fitted.before:.4f} without", highlight=False
    )
    if fitted.after <= fitted.before:
        console.print("note: that is no better than the predictions as they are; do not refine them.", soft_wrap=True)
    console.print(f"{out}: intarsia evaluate {data} --model {model} --refine-file {out}", soft_wrap=True)
