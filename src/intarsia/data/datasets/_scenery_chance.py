"""Chance: single choices, and fields of smooth noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np

from intarsia.core import Array, FloatArray

__all__ = ["Dice", "smooth_noise"]

Color = tuple[float, float, float]
T = TypeVar("T")


class Dice:
    """Random choices from numbers drawn beforehand: quick one by one, and the same once more after `again`."""

    def __init__(self, rng: np.random.Generator, count: int = 64) -> None:
        self._values: list[float] = rng.random(count).tolist()
        self.again()

    def again(self) -> None:
        """Back to the first number."""
        self._next: Callable[[], float] = itertools.cycle(self._values).__next__

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._next()

    def integer(self, low: int, high: int) -> int:
        """A whole number in low..high, both included."""
        return low + int((high - low + 1) * self._next())

    def chance(self, probability: float) -> bool:
        return self._next() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(len(options) * self._next())]

    def tone(self, color: Color, spread: float = 0.12) -> Color:
        """`color` a little lighter or darker, warmer or cooler."""
        light, warm = self.uniform(1 - spread, 1 + spread), self.uniform(-spread, spread) * 40
        return color[0] * light + warm, color[1] * light, color[2] * light - warm


def smooth_noise(rng: np.random.Generator, cells_hw: tuple[int, int], size_hw: tuple[int, int]) -> FloatArray:
    """(H, W) float32 of mean 0 and roughly -1..1: random values on a coarse grid, enlarged smoothly."""
    coarse = rng.random(cells_hw, np.float32) * 2 - 1
    enlarged: Array = cv2.resize(coarse, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR)
    return enlarged
