"""What `--model` may be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia.classical import CLASSICAL, create_method
from intarsia.core import ModelFileError, Predictor, SettingsError, UnknownNameError, nearest_names
from intarsia.models import SEMANTIC

__all__ = ["open_predictor"]


def open_predictor(model: str | Path | Predictor, *, device: str = "auto", options: Mapping[str, Any] | None = None) -> Predictor:
    """The predictor that `model` means: one that is open already, a model file, a run's folder (its best), or a classical method.

    Args:
        model: a predictor, a path, or the name of a classical method.
        device: where a network runs.
        options: of a classical method.

    Raises:
        UnknownNameError: the name of an architecture, which has not learnt anything yet.
        ModelFileError: a file that is missing or damaged.
    """
    if not isinstance(model, str | Path):
        return model
    path = Path(model)
    if not path.exists() and str(model) in CLASSICAL:
        return create_method(str(model), **(options or {}))
    if options:
        raise SettingsError(
            f"Options ({', '.join(options)}) were given for {str(model)!r}; a trained model has its own in its file, and only "
            f"classical methods take some: {', '.join(CLASSICAL.names)}."
        )
    if not path.exists() and str(model) in SEMANTIC:
        raise UnknownNameError(
            f"{model} is an architecture, and knows nothing until it is trained. Train it first "
            f"(intarsia train DATA --model {model}), then give the file best.safetensors of the run."
        )
    if not path.exists() and path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ModelFileError(
            f"There is no model file {str(model)!r}{_nearest(str(model))}. Give the best.safetensors of a run, such as "
            "runs/demo/best.safetensors, or the name of a classical method, such as slic (`intarsia models` lists them)."
        )
    from intarsia.inference import load

    return load(path, device=device)


def _nearest(name: str) -> str:
    near = nearest_names(name, CLASSICAL.names, limit=1)
    return f", and no method of that name (did you mean {near[0]!r}?)" if near else ""
