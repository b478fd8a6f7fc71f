"""intarsia predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.options import RefineFile, RefineName, RefineSettings, parse_numbers, parse_pairs
from intarsia.core.errors import SettingsError

if TYPE_CHECKING:
    from intarsia.workflow.predict import Predicted

__all__ = ["predict"]


def predict(
    inputs: Annotated[list[str], typer.Argument(help="Image files, folders, videos, or quoted patterns such as 'photos/*.jpg'.")],
    model: Annotated[str, typer.Option(help="Model file, such as runs/x/best.safetensors, or a classical method, such as slic.")],
    out: Annotated[str, typer.Option(help="Folder for masks/, overlays/, summary.csv and, of objects, objects.csv.")],
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of a classical method, or of how objects are decoded: min_score=0.5. May come again."),
    ] = None,
    min_score: Annotated[float, typer.Option(help="Objects of a lower score are left out; 0 keeps all.")] = 0.5,
    semantic: Annotated[
        str | None, typer.Option(help="Model or classical method that tells an instance network where the classes are.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    hints: Annotated[
        str | None,
        typer.Option(help="For interactive methods: a scribble map (.png), .json, or a folder of them, by image name."),
    ] = None,
    boxes: Annotated[
        list[str] | None, typer.Option("--box", help="x0,y0,x1,y1 around what is wanted, in pixels. May come again.")
    ] = None,
    refine: RefineName = None,
    refine_options: RefineSettings = None,
    refine_file: RefineFile = None,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Also write pictures of the result.")] = True,
) -> None:
    """Segment images: palette masks (ids inside, colours outside) at the original size, overlays, and a table.

    Of objects: masks of their numbers, objects.csv with class, score, area and box of each, and instances.json as COCO has it;
    of panoptic maps panoptic.json with the folder panoptic/.

    A method that looks at motion takes the images of a folder in natural order as frames; a video is frames for any model.
    A file that cannot be read is reported, the others go on, and the exit code is 1.
    """
    from intarsia.workflow.predict import predict as run

    console = open_console(stderr=True)

    def show(number: int, count: int, row: Predicted) -> None:
        if row.error is not None:
            console.print(f"[{number}/{count}] skipped: {row.error}", soft_wrap=True)
        elif count <= 20 or number % max(1, count // 20) == 0:
            console.print(f"[{number}/{count}] {row.path} ({row.seconds:.2f} s)", soft_wrap=True)

    rows = run(
        inputs,
        model=model,
        out=out,
        options=parse_pairs(options or []),
        semantic=semantic,
        device=device,
        overlays=overlays,
        min_score=min_score,
        hints=hints,
        boxes=[_parse_box(text) for text in boxes or []],
        refine=refine,
        refine_options=parse_pairs(refine_options or []),
        refine_file=refine_file,
        progress=show,
    )
    failed = [row for row in rows if row.error is not None]
    typer.echo(f"{len(rows) - len(failed)} of {len(rows)} images segmented; masks, overlays and summary.csv are in {out}")
    if failed:
        raise typer.Exit(1)


def _parse_box(text: str) -> tuple[float, ...]:
    box = parse_numbers(text, "--box") or ()
    if len(box) != 4:
        raise SettingsError(f"--box is {text!r}; four numbers x0,y0,x1,y1 are expected.")
    return box
