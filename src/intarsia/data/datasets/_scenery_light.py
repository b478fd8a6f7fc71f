"""Colours, and the light that falls on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from intarsia.data.datasets._scenery_chance import Dice

__all__ = ["PAINTS", "Light", "Rgb", "draw_light", "mix", "shade"]

Rgb = tuple[float, float, float]

# One box of paints for cars, clothes, bicycles, signs, doors and awnings: a colour does not tell a class.
PAINTS: tuple[Rgb, ...] = (
    (178, 62, 54), (212, 152, 66), (66, 118, 120), (52, 76, 118), (234, 228, 216), (62, 64, 70), (114, 128, 76),
    (198, 116, 112), (146, 156, 162), (112, 78, 60), (224, 198, 126), (96, 144, 184), (90, 104, 84), (168, 134, 150),
)  # fmt: skip


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    """`a` with a share of `b`."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def shade(color: Rgb, brightness: float) -> Rgb:
    return color[0] * brightness, color[1] * brightness, color[2] * brightness


@dataclass(frozen=True, kw_only=True)
class Light:
    """Where the light comes from and what it does.

    Args:
        sun_xyz: unit vector to the sun in camera axes (right, up, ahead); straight up under clouds.
        ambient, diffuse: brightness of a face is ambient + diffuse * cosine to the sun.
        tint: colour of the light over the whole picture.
        zenith, horizon, bright_cloud: colours of the sky.
        cloud: share of the sky under clouds, roughly.
        shadow: how dark a shadow is, 0..1.
        lit_windows: share of windows with a lamp on.
        haze_m: distance at which 63 % of a colour is lost to the air.
        grain: standard deviation of the sensor noise on mid-grey, in grey levels.
    """

    sun_xyz: tuple[float, float, float]
    ambient: float
    diffuse: float
    tint: Rgb
    zenith: Rgb
    horizon: Rgb
    bright_cloud: Rgb
    cloud: float
    shadow: float
    lit_windows: float
    haze_m: float
    grain: float

    @property
    def side(self) -> float:
        """+1 if the light comes from the right, else -1."""
        return math.copysign(1.0, self.sun_xyz[0])

    def on_face(self, normal_x: float, normal_z: float) -> float:
        """Brightness of an upright face with this unit normal."""
        return self.ambient + self.diffuse * max(0.0, normal_x * self.sun_xyz[0] + normal_z * self.sun_xyz[2])


def draw_light(dice: Dice) -> Light:
    """Day, dusk or overcast, each with its own range of sun, sky and haze."""
    kind = dice.pick(("day", "day", "day", "dusk", "overcast"))
    elevation = math.radians({"day": dice.uniform(28, 58), "dusk": dice.uniform(14, 22)}.get(kind, 90.0))
    azimuth = math.radians(dice.pick((-1, 1)) * dice.uniform(35, 150))
    flat = math.cos(elevation)
    sun_xyz = (math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat)
    haze_m, grain, share = dice.uniform(140, 400), dice.uniform(2.0, 5.5), dice.uniform(0, 1)
    if kind == "day":
        return Light(
            sun_xyz=sun_xyz,
            ambient=0.74,
            diffuse=0.42,
            tint=(1.03, 1.01, 0.96),
            zenith=mix((72, 136, 204), (112, 164, 208), share),
            horizon=dice.tone((204, 222, 232), 0.05),
            bright_cloud=(250, 248, 244),
            cloud=dice.uniform(0.15, 0.6),
            shadow=0.42,
            lit_windows=0.0,
            haze_m=haze_m,
            grain=grain,
        )
    if kind == "dusk":
        return Light(
            sun_xyz=sun_xyz,
            ambient=0.68,
            diffuse=0.46,
            tint=(1.02, 0.89, 0.82),
            zenith=mix((92, 104, 164), (150, 124, 168), share),
            horizon=dice.tone((250, 190, 138), 0.05),
            bright_cloud=(255, 206, 178),
            cloud=dice.uniform(0.15, 0.6),
            shadow=0.34,
            lit_windows=0.5,
            haze_m=haze_m * 0.6,
            grain=grain * 1.4,
        )
    return Light(
        sun_xyz=sun_xyz,
        ambient=0.92,
        diffuse=0.0,
        tint=(0.93, 0.96, 0.98),
        zenith=mix((156, 164, 176), (182, 188, 194), share),
        horizon=dice.tone((214, 216, 216), 0.05),
        bright_cloud=(250, 248, 244),
        cloud=0.75,
        shadow=0.3,
        lit_windows=0.12,
        haze_m=haze_m * 0.35,
        grain=grain * 1.2,
    )
