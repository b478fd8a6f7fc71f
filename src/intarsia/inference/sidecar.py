"""The JSON beside an exported network: what a model file says in its header, and what the graph gives back, in which order.

`model.onnx` has `model.onnx.json`. Whoever runs the graph elsewhere finds there how an image is prepared and what scores mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intarsia.core import ModelFileError
from intarsia.core.whole_file import written_whole
from intarsia.inference.header import understand_header
from intarsia.inference.model_file import ModelCard

__all__ = ["SUFFIXES", "read_sidecar", "sidecar_of", "write_sidecar"]

SUFFIXES = {"onnx": ".onnx", "torchscript": ".torchscript", "torch-export": ".pt2"}
"""Of exported networks, by what they are exported to."""


def sidecar_of(path: str | Path) -> Path:
    """Where the JSON of an exported network lies."""
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: str | Path, card: ModelCard, outputs: Sequence[str], parity: Mapping[str, float]) -> Path:
    """Write the JSON of the exported network at `path`.

    Args:
        path: of the graph.
        card: of the model file that it was made from.
        outputs: what the graph gives, in order: "logits", and the names of further maps.
        parity: how far its scores are from those of the model file.
    """
    place = sidecar_of(path)
    graph = {"input": "image", "outputs": list(outputs), "parity": dict(parity)}
    with written_whole(place) as partial:
        partial.write_text(json.dumps({**card.to_dict(), "graph": graph}, indent=2) + "\n", encoding="utf-8")
    return place


def read_sidecar(path: str | Path) -> tuple[ModelCard, tuple[str, ...]]:
    """What the JSON beside an exported network says: its card, and the names of its outputs.

    Raises:
        ModelFileError: the network or its JSON is missing, damaged, or of a newer version.
    """
    path, place = Path(path), sidecar_of(path)
    if not path.is_file():
        raise ModelFileError(f"The exported network {path} does not exist.")
    if not place.is_file():
        raise ModelFileError(
            f"{path} has no {place.name} beside it, which says what its classes are and how an image is prepared. `intarsia "
            "export` writes both: copy them together."
        )

    def understand(data: Mapping[str, Any]) -> tuple[ModelCard, tuple[str, ...]]:
        return ModelCard.from_dict(data), tuple(data["graph"]["outputs"])

    return understand_header(place, place.read_text(encoding="utf-8", errors="replace"), understand)
