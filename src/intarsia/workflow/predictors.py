"""What `--model` may be."""

from __future__ import annotations

from pathlib import Path

from intarsia.core import ModelFileError, Predictor, UnknownNameError
from intarsia.models import SEMANTIC

__all__ = ["open_predictor"]


def open_predictor(model: str | Path | Predictor, *, device: str = "auto") -> Predictor:
    """The predictor that `model` means: one that is already open, a model file, or a run's folder (its best).

    Raises:
        UnknownNameError: the name of an architecture, which has not learnt anything yet.
        ModelFileError: a file that is missing or damaged.
    """
    if not isinstance(model, str | Path):
        return model
    path = Path(model)
    if not path.exists() and str(model) in SEMANTIC:
        raise UnknownNameError(
            f"{model} is an architecture, and knows nothing until it is trained. Train it first "
            f"(intarsia train DATA --model {model}), then give the file best.safetensors of the run."
        )
    if not path.exists() and path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ModelFileError(
            f"There is no model file {str(model)!r}. Give the best.safetensors of a run, such as runs/demo/best.safetensors."
        )
    from intarsia.inference import load

    return load(path, device=device)
