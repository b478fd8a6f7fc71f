"""Pieces of the report that its parts share: numbers in words, swatches, pictures as addresses."""

from __future__ import annotations

import base64
import io
import math

from intarsia.core import Array

__all__ = ["count", "data_uri", "percent", "score", "section", "swatch"]


def section(name: str, title: str, body: str) -> str:
    """A part of the page that its contents can point at."""
    return f'<section id="{name}"><h2>{title}</h2>{body}</section>'


def score(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.3f}"


def percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0995 or share == 0 else f"{share:.2%}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def swatch(color: tuple[int, int, int]) -> str:
    return f'<i class="swatch" style="background:rgb{color}"></i>'


def data_uri(rgb: Array, *, flat: bool) -> str:
    """A picture as an address that holds it: PNG with a palette for flat colours, else JPEG."""
    from PIL import Image

    buffer, picture = io.BytesIO(), Image.fromarray(rgb)
    if flat:
        reduced = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        reduced.save(buffer, "png", optimize=True)
    else:
        picture.save(buffer, "jpeg", quality=88)
    return f"data:image/{'png' if flat else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
