"""One model file: safetensors weights under a JSON header that says all that is needed to use them, anywhere, without pickle.

The header (key `intarsia` of the safetensors metadata) holds the format version, the architecture and its arguments, the
classes with colours, the preprocessing, the scores, and what it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia import __version__
from intarsia.core import ClassSpace, IntarsiaError, ModelFileError, Task, thing_ids_of
from intarsia.core.whole_file import written_whole
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference.header import FORMAT_VERSION, KEY, read_header
from intarsia.models import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ModelCard", "initialise", "read_model", "read_model_card", "write_model"]


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about its weights.

    Args:
        spec: the architecture and its arguments.
        classes: what the outputs mean.
        preprocessing: what an image goes through first.
        task: what it predicts.
        scores: figures measured on the way, such as `{"val/miou": 0.71}`.
        history: how it came about: data, recipe, epoch; for people, not for the program.
        version: of Intarsia that wrote the file.
    """

    spec: ModelSpec
    classes: ClassSpace
    preprocessing: Preprocessing
    task: Task = "semantic"
    scores: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "version": self.version,
            "task": self.task,
            "model": self.spec.to_dict(),
            "classes": self.classes.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "scores": dict(self.scores),
            "history": dict(self.history),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCard:
        return cls(
            spec=ModelSpec.from_dict(data["model"]),
            classes=ClassSpace.from_dict(data["classes"]),
            preprocessing=Preprocessing.from_dict(data["preprocessing"]),
            task=data["task"],
            scores=data["scores"],
            history=data["history"],
            version=data["version"],
        )


def write_model(path: str | Path, model: nn.Module, card: ModelCard) -> Path:
    """Write a model file; a file that is there already stays whole until the new one is complete.

    The weights are stored on the CPU in their own precision, each tensor once.
    """
    from safetensors.torch import save

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # clone: a tensor that shares memory with another (or is a view) cannot be stored as it is
    weights = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in model.state_dict().items()}
    with written_whole(path) as partial:
        partial.write_bytes(save(weights, metadata={KEY: json.dumps(card.to_dict())}))
    return path


def read_model_card(path: str | Path) -> ModelCard:
    """The header of a model file, without its weights.

    Raises:
        ModelFileError: missing, truncated, not a model file of ours, or of a newer version.
    """

    def understand(data: Mapping[str, Any]) -> ModelCard:
        if "method" in data:
            raise ModelFileError(
                f"The model file {path} holds a {data['method']['name']}, which was fitted without a network. It predicts and is "
                "evaluated like one, but a network cannot start from it."
            )
        return ModelCard.from_dict(data)

    return read_header(path, understand)


def read_model(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """The network with its weights, on the CPU and in evaluation mode, and what the file says about it.

    Raises:
        ModelFileError: see `read_model_card`; also weights that do not fit the architecture that the header names.
    """
    card = read_model_card(path)
    try:
        model = card.spec.build(encoder_weights="none")
    except IntarsiaError as error:
        raise ModelFileError(f"The network that the header of {path} names cannot be made: {error}") from error
    try:
        model.load_state_dict(_read_weights(path))
    except RuntimeError as error:
        reasons = str(error).splitlines()[1:]
        raise ModelFileError(
            f"The weights in {path} do not fit the architecture {card.spec.name!r} that its header names: {len(reasons)} "
            f"differences, such as {reasons[0].strip()} It was written by Intarsia {card.version}; this is {__version__}."
        ) from error
    return model.eval(), card


def initialise(model: nn.Module, spec: ModelSpec, classes: ClassSpace, path: str | Path) -> str:
    """Start a network from a model file: tensors of equal name and shape, and of the heads the rows of same-named classes.

    Args:
        model: the network to fill.
        spec: what it was made by.
        classes: the classes of the new network.
        path: a model file of ours; it may be of another architecture, as far as the names agree.

    Returns:
        One line that says what was loaded.
    """
    import torch

    card = read_model_card(path)
    given = _read_weights(path)
    known, wanted = _learnt(card.spec, card.classes), _learnt(spec, classes)
    rows = [(new, known.index(name)) for new, name in enumerate(wanted) if name in known]
    depends, by_rows = _class_dependent(spec)
    same_classes = (known, card.spec.thing_ids) == (wanted, spec.thing_ids)
    loaded, rowwise, left = 0, 0, []
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            source = given.get(name)
            if source is not None and source.shape == tensor.shape and (same_classes or name not in depends):
                tensor.copy_(source)
                loaded += 1
            elif source is not None and name in by_rows and source.shape == (len(known), *tensor.shape[1:]) and rows:
                for new, old in rows:
                    tensor[new].copy_(source[old])
                rowwise += 1
            else:
                left.append(name)
    if loaded + rowwise == 0:
        raise ModelFileError(
            f"Nothing in {path} (architecture {card.spec.name!r}) fits the new network (architecture {spec.name!r}): no tensor "
            "has the same name and shape. Start from a file of the same architecture and encoder."
        )
    line = f"initialised from {Path(path).name}: {loaded + rowwise}/{loaded + rowwise + len(left)} tensors"
    if rowwise:
        shared = ", ".join(wanted[new] for new, _ in rows)
        line += f"; {rowwise} of the head by class name ({len(rows)} of {len(wanted)}: {shared})"
    if left:
        line += f"; new: {', '.join(left[:4])}{' ...' if len(left) > 4 else ''}"
    return line


def _read_weights(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelFileError(f"The weights in {path} cannot be read: {error}. The file is damaged; copy it again.") from error


def _learnt(spec: ModelSpec, classes: ClassSpace) -> tuple[str, ...]:
    """Names of the classes that a network tells apart, in the order of its rows."""
    return tuple(classes.names[i] for i in thing_ids_of(classes)) if spec.task == "instance" else classes.names


def _class_dependent(spec: ModelSpec) -> tuple[set[str], set[str]]:
    """Names of the tensors whose shape changes with the number of classes, and of those with just one row for each class.

    Found by building the network for one class more, without memory; a panoptic one for one of things as well as one of stuff.
    """
    import torch

    def shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            state = spec.build(encoder_weights="none").state_dict()
        return {name: tuple(tensor.shape) for name, tensor in state.items()}

    few, one_more = shapes(spec), replace(spec, num_classes=spec.num_classes + 1)
    more = shapes(one_more)
    depends = {name for name in few if few[name] != more.get(name)}
    if spec.thing_ids:
        more_things = shapes(replace(one_more, thing_ids=(*spec.thing_ids, spec.num_classes)))
        depends |= {name for name in few if few[name] != more_things.get(name)}
    rows = {name for name in depends if (spec.num_classes + 1, *few[name][1:]) == more.get(name)}
    return depends, rows
