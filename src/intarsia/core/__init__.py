"""The few nouns that everything else speaks in. Numpy only."""

from intarsia.core.arrays import Array, BoolArray, FloatArray, smallest_id_dtype
from intarsia.core.batch import Auxiliary, Batch, Output
from intarsia.core.catalog import Catalog, nearest_names
from intarsia.core.class_space import ClassSpace, SegmentationClass, default_color, thing_ids_of
from intarsia.core.dataset import Dataset
from intarsia.core.errors import (
    ClassSpaceError,
    DataError,
    IntarsiaError,
    ModelFileError,
    SegmentationError,
    SettingsError,
    UnknownNameError,
)
from intarsia.core.hints import Hints
from intarsia.core.predictor import Predictor, Task
from intarsia.core.sample import Sample, as_image
from intarsia.core.segmentation import InstanceMasks, Instances, LabelMap, MultiLabel, Panoptic, Segment, Segmentation

__all__ = [
    "Array",
    "Auxiliary",
    "Batch",
    "BoolArray",
    "Catalog",
    "ClassSpace",
    "ClassSpaceError",
    "DataError",
    "Dataset",
    "FloatArray",
    "Hints",
    "InstanceMasks",
    "Instances",
    "IntarsiaError",
    "LabelMap",
    "ModelFileError",
    "MultiLabel",
    "Output",
    "Panoptic",
    "Predictor",
    "Sample",
    "Segment",
    "Segmentation",
    "SegmentationClass",
    "SegmentationError",
    "SettingsError",
    "Task",
    "UnknownNameError",
    "as_image",
    "default_color",
    "nearest_names",
    "smallest_id_dtype",
    "thing_ids_of",
]
