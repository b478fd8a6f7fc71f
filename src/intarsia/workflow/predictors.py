"""What `--model` may be, and what `--refine` makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intarsia.classical import CLASSICAL, create_method
from intarsia.core import ClassSpace, ModelFileError, Predictor, SettingsError, UnknownNameError, nearest_names
from intarsia.inference.refined import Refined, create_refinement
from intarsia.models import NETWORKS, describe_model
from intarsia.recipes import Stage

__all__ = ["open_gate", "open_predictor"]


def open_predictor(
    model: str | Path | Predictor,
    *,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    semantic: str | Path | Predictor | None = None,
    refine: str | None = None,
    refine_options: Mapping[str, Any] | None = None,
    refine_file: str | Path | None = None,
) -> Predictor:
    """The predictor that `model` means: one that is open already, a model file, a run's folder (its best), or a classical method.

    Args:
        model: a predictor, a path, or the name of a classical method.
        device: where a network runs.
        options: of a classical method, or of what decodes the objects of an instance or panoptic network.
        semantic: a model or classical method that tells an instance network where the classes are, if it was trained to be told.
        refine: the name of a refinement of its results, such as "crf".
        refine_options: settings of the refinement.
        refine_file: a file of them, which says which refinement it is for.

    Raises:
        UnknownNameError: the name of an architecture, which has not learnt anything yet, or of no refinement.
        ModelFileError: a file that is missing or damaged.
        SettingsError: options that do not suit.
    """
    if refine is None and refine_file is None:
        if refine_options:
            raise SettingsError(
                f"Settings of a refinement ({', '.join(refine_options)}) were given, and none was chosen: --refine crf."
            )
        return _open(model, device, options, semantic)
    name, refinement = create_refinement(refine, refine_options, refine_file)
    return Refined(_open(model, device, options, semantic), refinement, name)


def open_gate(
    stage: Stage, classes: ClassSpace, semantic: str | Path | Predictor | None, *, device: str = "auto"
) -> Predictor | None:
    """What tells the network of a stage where its classes are, if it is one that is told.

    Raises:
        SettingsError: it is missing, in vain, or does not know the classes.
    """
    from intarsia.inference.objects import check_semantic

    options = describe_model(stage.model)["options"] | dict(stage.options)
    gate = None if semantic is None else open_predictor(semantic, device=device)
    check_semantic(stage.model, options.get("semantic") == "given", classes, gate)
    return gate


def _open(
    model: str | Path | Predictor,
    device: str,
    options: Mapping[str, Any] | None,
    semantic: str | Path | Predictor | None,
) -> Predictor:
    if not isinstance(model, str | Path):
        return model
    path = Path(model)
    if not path.exists() and str(model) in CLASSICAL:
        return create_method(str(model), **(options or {}))
    if not path.exists() and any(str(model) in catalog for catalog in NETWORKS.values()):
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

    gate = None if semantic is None else _open(semantic, device, None, None)
    return load(path, device=device, options=options, semantic=gate)


def _nearest(name: str) -> str:
    near = nearest_names(name, CLASSICAL.names, limit=1)
    return f", and no method of that name (did you mean {near[0]!r}?)" if near else ""
