"""Where the image of an annotation lies, if the annotation does not say its ending."""

from __future__ import annotations

from pathlib import Path

from intarsia.data.formats.image import IMAGE_SUFFIXES

__all__ = ["find_image"]


def find_image(*places: Path) -> Path | None:
    """The first image file among `places`, which are paths without an ending."""
    named = (place.with_name(place.name + suffix) for place in places for suffix in IMAGE_SUFFIXES)
    return next((path for path in named if path.is_file()), None)
