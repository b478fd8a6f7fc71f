"""intarsia train."""

from __future__ import annotations

from typing import Annotated

import typer

from intarsia.cli.console import open_console
from intarsia.cli.options import parse_auto, parse_duration, parse_pairs, parse_size, parse_weights
from intarsia.cli.tables import print_outcome

__all__ = ["train"]

Text = str | None


def train(
    data: Annotated[
        Text, typer.Argument(help="Folder with images/ and masks/, a data.yaml, or a data set: scenes, camvid:PATH.")
    ] = None,
    model: Annotated[
        Text, typer.Option(help="Network, or a forest such as random_forest; `intarsia models` lists them. [default: unet]")
    ] = None,
    encoder: Annotated[
        Text, typer.Option(help="Encoder, for architectures that take one: any timm name, such as resnet18.")
    ] = None,
    encoder_weights: Annotated[
        Text, typer.Option(help="auto (cache, or hub when reachable, else none), imagenet, none, or a file. [default: auto]")
    ] = None,
    output_stride: Annotated[int | None, typer.Option(help="Stride of the encoder's coarsest features.")] = None,
    option: Annotated[list[str] | None, typer.Option("--set", help="The model's own options, such as --set stride=8.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images. [default: 50]")] = None,
    time: Annotated[Text, typer.Option(help="Time budget such as 30m; chooses the epochs.")] = None,
    batch: Annotated[Text, typer.Option(help="Images a step, or auto.")] = None,
    imgsz: Annotated[Text, typer.Option(help="HEIGHTxWIDTH that images are fitted into before the network, or auto.")] = None,
    crop: Annotated[Text, typer.Option(help="HEIGHTxWIDTH of the training crop; alone: of images at their own size.")] = None,
    lr: Annotated[Text, typer.Option(help="Peak learning rate, or auto.")] = None,
    optimizer: Annotated[Text, typer.Option(help="adamw or sgd. [default: adamw]")] = None,
    schedule: Annotated[Text, typer.Option(help="poly, cosine or constant. [default: poly]")] = None,
    loss: Annotated[Text, typer.Option(help="Loss, by name. [default: cross_entropy_dice]")] = None,
    class_weights: Annotated[
        Text, typer.Option(help="auto, median_frequency, log, none, or numbers with commas. [default: auto]")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better mIoU; 0 never. [default: 0]")
    ] = None,
    init: Annotated[Text, typer.Option(help="Model file to start from.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of a moving average of the weights, such as 0.999.")] = None,
    precision: Annotated[Text, typer.Option(help="32, bf16 or 16. [default: bf16 on hardware that has it, else 32]")] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Run the network through torch.compile.")] = False,
    semantic: Annotated[
        Text, typer.Option(help="Model or method that tells a network with semantic=given where the classes are, to score it.")
    ] = None,
    recipe: Annotated[Text, typer.Option(help="A recipe file, such as a run's recipe.toml, or the name of one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of initial weights, order and augmentation. [default: 0]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    devices: Annotated[int, typer.Option(help="Processes on each machine, one for each GPU.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="Processes that prepare batches. [default: 0 on a CPU, 4 with a GPU]")
    ] = None,
    logger: Annotated[list[str] | None, typer.Option(help="tensorboard, wandb or mlflow, beside results.csv.")] = None,
    out: Annotated[Text, typer.Option(help="Folder of the run. [default: runs/DATA-MODEL]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is in --out already.")] = False,
) -> None:
    """Train a network, or fit a forest, on a folder of images and masks.

    What is not given is decided from the data and the machine, printed, and saved in the run's recipe.toml.
    """
    console = open_console()
    from intarsia.workflow.train import train as run

    done = run(
        data,
        recipe=recipe,
        out=out,
        resume=resume,
        overwrite=overwrite,
        seed=seed,
        device=device,
        devices=devices,
        nodes=nodes,
        workers=workers,
        loggers=tuple(logger or ()),
        semantic=semantic,
        console=console,
        model=model,
        encoder=encoder,
        encoder_weights=encoder_weights,
        output_stride=output_stride,
        options=parse_pairs(option) if option else None,
        epochs=epochs,
        time_s=parse_duration(time),
        batch=parse_auto(batch, int, "--batch"),
        imgsz=parse_size(imgsz),
        crop=parse_size(crop),
        lr=parse_auto(lr, float, "--lr"),
        optimizer=optimizer,
        schedule=schedule,
        loss=loss,
        class_weights=parse_weights(class_weights),
        patience=patience,
        init=init,
        ema=ema,
        precision=precision,
        compile=compile_ or None,
    )
    print_outcome(console, done.outcome)
    console.print(f"model:  {done.best}\nreport: {done.report}", soft_wrap=True)
