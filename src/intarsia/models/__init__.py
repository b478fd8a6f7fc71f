"""Networks: one file per architecture in `semantic`, `instance` and `panoptic`, blocks that several share in `parts`.

Torch is imported when one is made.
"""

from intarsia.models._description import (
    FIGURES_CLASSES,
    FIGURES_SIZE_HW,
    FIGURES_THINGS,
    INSTANCE,
    NETWORKS,
    PANOPTIC,
    SEMANTIC,
    Figures,
    ModelDescription,
    describe_model,
    network_catalog,
)
from intarsia.models._spec import ModelSpec, classes_learnt, create_model, spec_of, spec_to_count

__all__ = [
    "FIGURES_CLASSES",
    "FIGURES_SIZE_HW",
    "FIGURES_THINGS",
    "INSTANCE",
    "NETWORKS",
    "PANOPTIC",
    "SEMANTIC",
    "Figures",
    "ModelDescription",
    "ModelSpec",
    "classes_learnt",
    "create_model",
    "describe_model",
    "network_catalog",
    "spec_of",
    "spec_to_count",
]
