"""The `intarsia` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from intarsia import __version__
from intarsia.cli.check import check
from intarsia.cli.convert import convert
from intarsia.cli.demo import demo
from intarsia.cli.doctor import doctor
from intarsia.cli.evaluate import evaluate
from intarsia.cli.export import export
from intarsia.cli.fit_region_crf import fit_region_crf
from intarsia.cli.import_ import import_
from intarsia.cli.merge import merge
from intarsia.cli.models import models
from intarsia.cli.predict import predict
from intarsia.cli.report import report
from intarsia.cli.score import score
from intarsia.cli.split import split
from intarsia.cli.stats import stats
from intarsia.cli.train import train
from intarsia.cli.tune_crf import tune_crf
from intarsia.core.errors import IntarsiaError, memory_ran_out

__all__ = ["app", "main"]

FIRST_STEPS = """\
Intarsia segments images. What to do first:

  intarsia demo                          train a small network on drawn street scenes and look at the result (4 minutes)
  intarsia check FOLDER                  what is wrong with your images and masks, and what fixes it
  intarsia convert SOURCE OUT --to FORMAT
                                         labels of any tool or data set in the format of another
  intarsia split FOLDER                  train, val and test: every class in each, images of one scene together
  intarsia stats FOLDER                  how often and how large classes and objects are, in one HTML file
  intarsia train FOLDER                  train on your own images: FOLDER/images/*.jpg and FOLDER/masks/*.png, paired by name
  intarsia predict PHOTOS --model FILE --out DIR
                                         masks, overlays and a table for files, folders or "patterns*.jpg"
  intarsia evaluate FOLDER --model FILE  scores with intervals, and a report
  intarsia export FILE --out DIR         ONNX and what runs it without torch, compared with the model on images
  intarsia tune-crf FILE FOLDER          settings of a CRF that sharpens the masks of a model: predict ... --refine-file crf.toml
  intarsia fit-region-crf FILE FOLDER    a field that knows what lies above what, for the same use
  intarsia score MASKS TRUTH             scores of masks that any tool made
  intarsia merge OBJECTS MASKS --out DIR objects and maps of classes into panoptic maps, from models or files
  intarsia report RUN                    the report of a run again: curves, scores, worst images, in one HTML file
  intarsia models                        the networks there are
  intarsia import WEIGHTS --from LIBRARY:NETWORK --out FILE
                                         weights of torchvision or segmentation_models_pytorch as a model file
  intarsia doctor                        is this installation fine? The text for a bug report

intarsia COMMAND --help tells the rest."""

EXIT_CODES = {"TrainingInterrupted": 130, "DataFaults": 1}
"""By the name of the error, whose room need not be imported for it."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (check, convert, split, stats, train, evaluate, predict, export, report, score, merge, models, demo, doctor):
    app.command()(command)
app.command("import")(import_)
app.command("tune-crf")(tune_crf)
app.command("fit-region-crf")(fit_region_crf)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Image segmentation, whole: train, evaluate and use a model on a folder of images."""
    if version:
        typer.echo(f"intarsia {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(FIRST_STEPS)


def main() -> None:
    """Run the command line. What can go wrong for a user is one sentence and exit code 2; --debug asks for the traceback."""
    debug = "--debug" in sys.argv
    sys.argv = [sys.argv[0], *(argument for argument in sys.argv[1:] if argument != "--debug")]  # wherever it was typed
    try:
        app()
    except IntarsiaError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(EXIT_CODES.get(type(error).__name__, 2)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        no_memory = memory_ran_out(error)
        if debug or not (no_memory or isinstance(error, OSError)):
            raise
        advice = " There was not enough memory: try a smaller --batch or --imgsz, or smaller images." if no_memory else ""
        typer.echo(f"error: {str(error) or type(error).__name__}.{advice}", err=True)
        raise SystemExit(2) from None
