"""Networks: one file per architecture in `semantic`, blocks that several share in `parts`. Torch is imported when one is made."""

from intarsia.models._description import (
    FIGURES_CLASSES,
    FIGURES_SIZE_HW,
    SEMANTIC,
    Figures,
    ModelDescription,
    describe_model,
)
from intarsia.models._spec import ModelSpec, create_model, spec_of

__all__ = [
    "FIGURES_CLASSES",
    "FIGURES_SIZE_HW",
    "SEMANTIC",
    "Figures",
    "ModelDescription",
    "ModelSpec",
    "create_model",
    "describe_model",
    "spec_of",
]
