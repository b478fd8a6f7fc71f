"""Image and mask files. One file per format, each with a `read_*` and a `write_*`; here is what takes any of them."""

from __future__ import annotations

from pathlib import Path

from intarsia.core import Catalog, ClassSpace, Instances, LabelMap, MultiLabel, Panoptic, Segmentation, SegmentationError
from intarsia.data.formats._files import png_path
from intarsia.data.formats._masks import MaskValues, label_map, read_mask_values
from intarsia.data.formats.class_files import write_class_files
from intarsia.data.formats.image import IMAGE_SUFFIXES, read_image, read_image_size, write_image
from intarsia.data.formats.index import write_index
from intarsia.data.formats.instance import read_instances, read_object_ids, write_instances
from intarsia.data.formats.palette import write_palette
from intarsia.data.formats.panoptic import read_panoptic, write_panoptic

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "MaskValues",
    "read_image",
    "read_image_size",
    "read_instances",
    "read_mask",
    "read_mask_values",
    "read_object_ids",
    "read_panoptic",
    "write_image",
    "write_mask",
]

FORMATS = Catalog("file format", "intarsia.data.formats")


def read_mask(path: str | Path, classes: ClassSpace | None = None) -> LabelMap:
    """Read a mask of class values, whether they are grey values, palette indices, colours, or 0 and 255.

    A file that Intarsia wrote stores its classes, and they are matched to `classes` by name. In any other file a value means the
    class that lists it among its sources. Palettes are read by index, unless all classes are declared by colours.

    Args:
        path: the file.
        classes: what the values mean. None: the classes stored in the file, else the values are region numbers.

    Raises:
        DataError: a file that cannot be read or is no mask; the message names it and the likely cause.
        ClassSpaceError: a value or colour that no class claims; the message lists them with their share of pixels.
    """
    return label_map(read_mask_values(path), classes, path)


def write_mask(path: str | Path, segmentation: Segmentation) -> Path:
    """Write any segmentation as PNG, in the form that holds it.

    A LabelMap with classes becomes a palette PNG (16-bit grey if its ids pass 255), one without classes 16-bit grey; Instances
    become 16-bit object numbers; Panoptic 16-bit or RGB segment ids with a JSON file beside; a MultiLabel `STEM_CLASS.png` for
    each class. Classes are stored in the file. A missing ending becomes `.png`, missing folders are made, and each file is
    written whole or not at all.

    Returns:
        The file written; for a MultiLabel the folder of its files.

    Raises:
        SegmentationError: ids that the format does not hold.
        DataError: an ending other than `.png`, or a place that cannot be written.
    """
    if isinstance(segmentation, LabelMap):
        classes = segmentation.classes
        fits_palette = classes is not None and max(len(classes) - 1, classes.ignore_id) < 256
        return write_palette(path, segmentation) if fits_palette else write_index(path, segmentation)
    if isinstance(segmentation, Instances):
        return write_instances(path, segmentation)
    if isinstance(segmentation, Panoptic):
        return write_panoptic(path, segmentation)
    if isinstance(segmentation, MultiLabel):
        path = png_path(path)
        write_class_files(path.parent, path.stem, segmentation)
        return path.parent
    raise SegmentationError(f"{type(segmentation).__name__} is no segmentation that a mask file holds.")
