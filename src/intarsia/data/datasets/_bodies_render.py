"""The depth camera of the data set bodies: round cones, met by a ray for each pixel, nearest first."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from intarsia.core import Array
from intarsia.data.datasets._bodies_figure import Figure

__all__ = ["render_figure"]


def render_figure(figure: Figure, size_hw: tuple[int, int], focal_px: float) -> tuple[Array, Array]:
    """Depth in metres, (H, W) float32 with 0 where nobody is, and parts, (H, W) uint8.

    The ray of a pixel goes through its centre; the camera looks at the middle of the image.
    """
    depth, part = np.zeros(size_hw, np.float32), np.zeros(size_hw, np.uint8)
    _render(figure.ends, figure.radii, figure.normals, figure.offsets, figure.parts, focal_px, depth, part)
    return depth, part


@njit(nogil=True, cache=True)
def _render(
    ends: Array, radii: Array, normals: Array, offsets: Array, parts: Array, focal: float, depth: Array, part: Array
) -> None:
    height, width = depth.shape
    for p in range(len(ends)):
        x0, x1 = _span(ends[p, :, 0], ends[p, :, 2], radii[p], focal, width)
        y0, y1 = _span(ends[p, :, 1], ends[p, :, 2], radii[p], focal, height)
        a, b = ends[p, 0], ends[p, 1]
        ra, rb = radii[p]
        length = math.sqrt((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 + (b[2] - a[2]) ** 2)
        nx, ny, nz = (b[0] - a[0]) / length, (b[1] - a[1]) / length, (b[2] - a[2]) / length
        slope = (ra - rb) / length  # sine of the angle between side and axis
        cos2 = 1 - slope * slope
        aa, bb = a[0] ** 2 + a[1] ** 2 + a[2] ** 2, b[0] ** 2 + b[1] ** 2 + b[2] ** 2
        an = a[0] * nx + a[1] * ny + a[2] * nz
        q = ra + slope * an
        for y in range(y0, y1):
            dy = (y - 0.5 * (height - 1)) / focal
            for x in range(x0, x1):
                dx = (x - 0.5 * (width - 1)) / focal
                dd = dx * dx + dy * dy + 1
                da = dx * a[0] + dy * a[1] + a[2]
                nearest = min(_meet(dd, -da, aa - ra * ra), _meet(dd, -(dx * b[0] + dy * b[1] + b[2]), bb - rb * rb))
                # The side: distance from the axis (ra - slope * along) / cos, for t d = a + along n + across.
                dn = dx * nx + dy * ny + nz
                side = _meet(
                    cos2 * (dd - dn * dn) - slope * slope * dn * dn,
                    cos2 * (dn * an - da) + q * slope * dn,
                    cos2 * (aa - an * an) - q * q,
                )
                if side < nearest:
                    along = side * dn - an
                    if ra * slope <= along <= length + rb * slope:  # between the circles where it touches the spheres
                        nearest = side
                if nearest < math.inf and (depth[y, x] == 0 or nearest < depth[y, x]):
                    depth[y, x] = nearest
                    which = 0
                    for k in range(2):
                        n = normals[p, k]
                        if nearest * (n[0] * dx + n[1] * dy + n[2]) > offsets[p, k]:
                            which += 1 << k
                    part[y, x] = parts[p, which]


@njit(nogil=True, cache=True)
def _meet(a: float, half_b: float, c: float) -> float:
    """The smaller positive root of a t^2 + 2 half_b t + c, infinity if there is none."""
    inside = half_b * half_b - a * c
    if inside < 0 or a <= 0:  # a <= 0: the ray runs more along the axis than the side does, and meets an end
        return math.inf
    t = (-half_b - math.sqrt(inside)) / a
    return t if t > 0 else math.inf


@njit(nogil=True, cache=True)
def _span(at: Array, z: Array, radius: Array, focal: float, pixels: int) -> tuple[int, int]:
    """Pixels, half-open, that cover both spheres of a capsule along one axis of the image."""
    low, high = math.inf, -math.inf
    for end in range(2):
        for depth in (z[end] - radius[end], z[end] + radius[end]):
            if depth <= 0:
                return 0, pixels
            low = min(low, (at[end] - radius[end]) / depth)
            high = max(high, (at[end] + radius[end]) / depth)
    centre = 0.5 * (pixels - 1)
    return max(0, math.floor(low * focal + centre)), min(pixels, math.ceil(high * focal + centre) + 1)
