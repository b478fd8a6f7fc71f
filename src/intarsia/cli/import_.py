"""intarsia import."""

from __future__ import annotations

from typing import Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.options import parse_numbers, parse_pairs, parse_size

__all__ = ["import_"]

Text = str | None


def import_(
    checkpoint: Annotated[str, typer.Argument(help="Weights: .safetensors, .pth, or a folder that smp's save_pretrained wrote.")],
    source: Annotated[str, typer.Option("--from", help="library:network, such as torchvision:deeplabv3_resnet50 or smp:Unet.")],
    out: Annotated[str, typer.Option(help="The model file to write, such as model.safetensors.")],
    classes: Annotated[
        Text, typer.Option(help="Names with commas between, or a file with a name a line. [default: VOC's, if there are 21]")
    ] = None,
    encoder: Annotated[Text, typer.Option(help="Of smp's networks with an encoder of timm (tu-...): its name in timm.")] = None,
    output_stride: Annotated[int | None, typer.Option(help="Of the encoder, if it is not the library's default.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="An option of our architecture, such as --set rates=[6,12,18].")
    ] = None,
    model: Annotated[
        Text, typer.Option(help="For a classifier's weights (torchvision:resnet50): the architecture that takes them.")
    ] = None,
    imgsz: Annotated[Text, typer.Option(help="HEIGHTxWIDTH that images are fitted into. [default: their own size]")] = None,
    mean: Annotated[Text, typer.Option(help="Of the images it was trained on: 0.5,0.5,0.5. [default: ImageNet's]")] = None,
    std: Annotated[Text, typer.Option(help="The same for the standard deviation. [default: ImageNet's]")] = None,
) -> None:
    """Turn weights of torchvision or segmentation_models_pytorch (smp) into a model file that does the same.

    Afterwards: predict, evaluate, or train --init with that file.
    """
    from intarsia.workflow.import_weights import import_weights

    made = import_weights(
        checkpoint,
        source=source,
        out=out,
        classes=classes,
        encoder=encoder,
        output_stride=output_stride,
        options=parse_pairs(option or []),
        model=model,
        imgsz=parse_size(imgsz),
        mean=parse_numbers(mean, "--mean"),
        std=parse_numbers(std, "--std"),
    )
    console = open_console()
    for note in made.notes:
        console.print(note, soft_wrap=True)
    console.print(f"wrote {made.path}", soft_wrap=True)
