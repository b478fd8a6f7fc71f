"""import: weights from another library, as a model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.core import ClassSpace, SettingsError, thing_ids_of

if TYPE_CHECKING:
    from intarsia.data.preprocessing import Preprocessing
    from intarsia.inference import ModelCard
    from intarsia.inference.foreign import Converted

__all__ = ["Imported", "import_weights"]


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Args:
        path: the model file, for `intarsia.load`, `evaluate`, `predict` and `train --init`.
        card: what it says about its weights.
        notes: what was taken, and what was assumed, in lines.
    """

    path: Path
    card: ModelCard
    notes: tuple[str, ...]


def import_weights(
    checkpoint: str | Path,
    *,
    source: str,
    out: str | Path,
    classes: str | Sequence[str] | ClassSpace | None = None,
    encoder: str | None = None,
    output_stride: int | None = None,
    options: Mapping[str, Any] | None = None,
    model: str | None = None,
    imgsz: int | tuple[int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Imported:
    """Turn a checkpoint of another library into a model file; its scores are the original's.

    Args:
        checkpoint: safetensors, a state dict saved by torch.save, or a folder that smp's `save_pretrained` wrote. Pickled code is
            not run.
        source: library:network, such as "torchvision:deeplabv3_resnet50" or "smp:Unet" (`intarsia.inference.foreign.SOURCES`).
        out: the model file to write.
        classes: a file with a name a line, names with commas between, a list of names, or a ClassSpace. The weights do not tell
            them; torchvision's 21 are known.
        encoder: where the weights do not tell: of a timm encoder in smp.
        output_stride: of the encoder, where it is not the library's default.
        options: of our architecture, where they are not the library's defaults, such as {"rates": (6, 12, 18)}.
        model: for the weights of a classifier (torchvision:resnet50, vgg16, alexnet ...): the architecture that takes them into
            its trunk; its other layers are new and must be trained.
        imgsz: (height, width) that images are fitted into before the network, or a number for a square; None keeps their size.
        mean: of the images that the network expects, per channel, on the scale [0, 1]; ImageNet's if not given.
        std: the same for the standard deviation.

    Raises:
        UnknownNameError: no such source.
        ModelFileError: a checkpoint that cannot be read, or tensors that are missing, too many or of another shape.
        SettingsError: what was said does not fit the weights.
    """
    from intarsia.inference import ModelCard, write_model
    from intarsia.inference.foreign import Wishes, convert
    from intarsia.models import spec_of

    checkpoint, out = Path(checkpoint), Path(out)
    if out.suffix != ".safetensors":
        raise SettingsError(f"The model file is to be {out}; model files end in .safetensors.")
    if out.resolve() == checkpoint.resolve():
        raise SettingsError(f"{out} is the checkpoint itself; choose another name for the model file.")
    names = _read_classes(classes)
    wishes = Wishes(encoder, output_stride, options or {}, model, len(names) if names is not None else None)
    made = convert(checkpoint, source, wishes)
    spec = spec_of(made.network)
    fit = _fit_things if spec.task == "instance" else _fit_classes
    space, note = fit(names, made, spec.num_classes)
    preprocessing = _preprocessing(made, spec.in_channels, imgsz, mean, std)
    history = {"imported": {"from": made.source, "file": checkpoint.name}}
    card = ModelCard(spec, space, preprocessing, spec.task, history=history)
    write_model(out, made.network, card)
    notes = (*_what_was_taken(made), note, _how_images_enter(preprocessing, said=mean is not None))
    return Imported(out, card, notes)


def _read_classes(classes: str | Sequence[str] | ClassSpace | None) -> ClassSpace | None:
    if classes is None or isinstance(classes, ClassSpace):
        return classes
    if isinstance(classes, str):
        lines = Path(classes).read_text(encoding="utf-8").splitlines() if Path(classes).is_file() else classes.split(",")
        classes = [line.strip() for line in lines if line.strip()]
    return ClassSpace.from_names(list(classes))


def _fit_classes(given: ClassSpace | None, made: Converted, scores: int) -> tuple[ClassSpace, str]:
    """Classes for that many scores; one score decides between two."""
    count = max(2, scores)
    if given is not None:
        if len(given) != count:
            instead = "a single score, which decides between two" if scores == 1 else f"{scores} scores for each pixel"
            raise SettingsError(
                f"{len(given)} classes were given ({', '.join(given.names[:4])}{' ...' if len(given) > 4 else ''}), and the "
                f"weights have {instead}. Name {count}, in the order of the scores, background included if it is one of them."
            )
        return given, f"{count} classes: {', '.join(given.names)}"
    if made.class_names is not None:
        return ClassSpace.from_names(made.class_names), f"{count} classes, taken for PASCAL VOC's as in torchvision's own weights"
    names = ["background", "foreground"] if count == 2 else [f"class_{index}" for index in range(count)]
    return ClassSpace.from_names(names), f"{count} classes, called {names[0]}, {names[1]} ...: give their names by --classes"


def _fit_things(given: ClassSpace | None, made: Converted, count: int) -> tuple[ClassSpace, str]:
    """Classes of which so many are things; where none is said to be one, all of that many are."""
    if given is None:
        names = made.class_names or [f"thing_{index}" for index in range(1, count + 1)]
        known = "COCO's as in torchvision's own weights"
        source = known if made.class_names else f"called {names[0]} ...: give their names by --classes"
        return _all_things(ClassSpace.from_names(names)), f"{count} classes of things, {source}"
    space = given if given.thing_ids or len(given) != count else _all_things(given)
    if len(thing_ids_of(space)) != count:
        raise SettingsError(
            f"{len(given)} classes were given ({', '.join(given.names[:4])}{' ...' if len(given) > 4 else ''}), and the weights "
            f"tell {count} kinds of things apart. Name {count}, in their order and without the background."
        )
    return space, f"{count} classes of things: {', '.join(space.names[i] for i in thing_ids_of(space))}"


def _all_things(space: ClassSpace) -> ClassSpace:
    return replace(space, classes=tuple(replace(entry, is_thing=True) for entry in space.classes))


def _preprocessing(
    made: Converted,
    in_channels: int,
    imgsz: int | tuple[int, int] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Preprocessing:
    from intarsia.data.preprocessing import Preprocessing
    from intarsia.encoders import normalization

    usual_mean, usual_std = normalization(made.imagenet)
    if in_channels != 3:
        usual_mean, usual_std = ((sum(values) / 3,) * in_channels for values in (usual_mean, usual_std))
    mean, std = tuple(mean or usual_mean), tuple(std or usual_std)
    for what, values in (("mean", mean), ("std", std)):
        if len(values) != in_channels or (what == "std" and min(values) <= 0):
            raise SettingsError(
                f"The {what} of images is {', '.join(map(str, values))}; the network takes {in_channels} channels, and for each "
                f"one number{' above zero' if what == 'std' else ''} is needed."
            )
    return Preprocessing(mean, std, (imgsz, imgsz) if isinstance(imgsz, int) else imgsz)


def _what_was_taken(made: Converted) -> list[str]:
    from intarsia.models import spec_of

    spec = spec_of(made.network)
    on = f" on {spec.encoder} at output stride {spec.output_stride}" if spec.encoder else ""
    lines = [f"{made.source} as {spec.name}{on}"]
    if made.weights_note:
        lines.append(f"only its trunk has these weights ({made.weights_note}); the other layers are new: train --init")
    if made.unused:
        left = sorted({name.partition(".")[0] if "layer" not in name else ".".join(name.split(".")[:2]) for name in made.unused})
        lines.append(f"{len(made.unused)} tensors without a use were left out: {', '.join(left)}")
    return lines


def _how_images_enter(preprocessing: Preprocessing, *, said: bool) -> str:
    listed = ", ".join(f"{value:.4g}" for value in preprocessing.mean)
    whose = "as given" if said else "ImageNet's; give --mean and --std if it was trained otherwise"
    size = (
        "at their own size"
        if preprocessing.fit_hw is None
        else f"fitted into {preprocessing.fit_hw[0]}x{preprocessing.fit_hw[1]}"
    )
    return f"images {size}, minus the mean {listed} ({whose})"
