"""What the pictures of docs/classical.md are made of: photographs, what a person would draw into them, and film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.data import coins

from intarsia.classical import MethodDescription
from intarsia.core import Array, Hints

SHAPE = 3 / 2
"""Width by height of every scene; more height is cut off below."""

Line = Sequence[tuple[int, int]]
"""Points x, y of a stroke or an outline."""


@dataclass(frozen=True)
class Scene:
    """A photograph, and what can be said about it.

    photo: path below the folder of data, or the name of a picture of scikit-image.
    box: x0, y0, x1, y1 around its object.
    strokes: by class.
    outline: around its object, in order.
    """

    photo: str
    box: tuple[int, int, int, int] | None = None
    strokes: Mapping[int, Sequence[Line]] | None = None
    outline: Line | None = None

    def hints(self, kinds: Sequence[str], size_hw: tuple[int, int]) -> Hints | None:
        """The first of `kinds` that there is; points are those of the outline."""
        for kind in kinds:
            if kind == "box" and self.box:
                return Hints(boxes_xyxy=np.array([self.box]))
            if kind == "scribbles" and self.strokes:
                drawn = np.full(size_hw, -1, np.int32)
                for number, lines in self.strokes.items():
                    cv2.polylines(drawn, [np.array(line) for line in lines], False, number, 5)
                return Hints(scribbles=drawn)
            if kind == "points" and self.outline:
                return Hints(points_yx=np.array(self.outline)[:, ::-1], point_class=np.ones(len(self.outline), np.int64))
        return None


GORILLA = Scene(
    "bsds/images/49024.jpg",
    box=(274, 40, 442, 321),
    strokes={
        0: [
            [(60, 60), (240, 80), (320, 60)],
            [(40, 200), (200, 285), (262, 200)],
            [(455, 50), (455, 290)],
            [(15, 15), (250, 20), (465, 15)],
        ],
        1: [[(395, 70), (385, 110), (400, 160), (400, 220), (345, 285), (395, 300)], [(310, 140), (300, 180), (305, 215)]],
    },
    outline=[
        *[
            (395, 46),
            (425, 62),
            (430, 100),
            (432, 140),
            (436, 180),
            (428, 222),
            (424, 247),
            (429, 290),
            (427, 319),
            (390, 319),
            (355, 319),
            (318, 319),
        ],
        *[(298, 292), (291, 262), (306, 246), (288, 238), (284, 202), (279, 183), (285, 150), (301, 126), (318, 120), (337, 131)],
        *[(354, 116), (347, 95), (353, 75), (370, 54)],
    ],
)
HILL = Scene(
    "bsds/images/36046.jpg",
    box=(58, 140, 158, 246),
    strokes={
        0: [[(20, 285), (240, 255), (440, 280)], [(180, 165), (260, 200)], [(20, 165), (50, 185)]],
        1: [[(20, 30), (240, 72), (460, 40)], [(20, 85), (300, 92), (460, 90)]],
        2: [[(230, 138), (340, 134), (450, 132)], [(290, 178), (440, 182)]],
        3: [[(90, 160), (110, 180), (135, 195)], [(40, 225), (95, 225)], [(40, 118), (130, 112), (200, 125)]],
    },
    outline=[(88, 147), (118, 146), (130, 160), (148, 180), (150, 203), (140, 218), (100, 216), (72, 213), (64, 188), (73, 155)],
)
CHILDREN = Scene(
    "bsds/images/368037.jpg",
    strokes={
        0: [
            [(10, 20), (15, 90)],
            [(60, 12), (130, 8), (290, 15), (290, 70)],
            [(325, 35), (310, 60)],
            [(300, 200), (345, 240)],
            [(5, 190), (8, 240)],
        ],
        1: [[(60, 70), (110, 50), (100, 130), (60, 190), (100, 230), (60, 290), (180, 290)], [(36, 215), (42, 235)]],
        2: [[(170, 40), (210, 40), (265, 70), (210, 110), (215, 190), (220, 260), (300, 250)], [(165, 225), (155, 240)]],
        3: [
            [(400, 20), (340, 60), (310, 130), (330, 190), (350, 215)],
            [(460, 70), (462, 200)],
            [(400, 90), (400, 290), (310, 290)],
        ],
    },
)
ELEPHANTS = Scene("bsds/images/107072.jpg", box=(78, 16, 452, 236))
TORTOISE = Scene(
    "bsds/images/103006.jpg",
    outline=[
        *[(133, 52), (200, 62), (232, 82), (255, 112), (265, 145), (250, 132), (220, 122), (196, 121), (150, 138)],
        *[(110, 165), (75, 190), (45, 198), (18, 190), (6, 173), (20, 140), (40, 100), (75, 67)],
    ],
)
RAILS = Scene("bsds/images/235098.jpg")
POLO = Scene("bsds/images/206062.jpg", box=(164, 18, 458, 290))
STREET = Scene("camvid/images/test/Seq05VD_f02400.jpg")
COINS = Scene("coins", box=(298, 4, 374, 82))
NUCLEI = Scene("nuclei/images/val/2dec81a678dd.png", box=(450, 208, 524, 318))


@dataclass(frozen=True)
class Film:
    """Frames of CamVid, which lie in three folders: those of a sequence from `first` to `last`, of which one is shown.

    shaken: each frame is turned, moved and enlarged a little, as if the camera were held by hand.
    """

    sequence: str
    first: int
    last: int
    shown: int
    shaken: bool = False

    def frames(self, root: Path) -> tuple[list[Array], int]:
        """All frames, and the index of the one shown."""
        found = {number_of(path): path for path in root.glob(f"camvid/images/*/{self.sequence}_*.jpg")}
        numbers = [number for number in sorted(found) if self.first <= number <= self.last]
        frames = [fitted(np.asarray(Image.open(found[number]))) for number in numbers]
        return [shake(frame, rng=number) if self.shaken else frame for frame, number in zip(frames, numbers, strict=True)], (
            numbers.index(self.shown)
        )


CORNER = [Film("Seq05VD", 1890, 2820, shown) for shown in (2100, 2400, 2730)]
"""The car waits at a light: 32 seconds without motion of its own."""
SHAKEN = [replace(film, first=film.shown - 30, last=film.shown + 30, shaken=True) for film in CORNER]


@dataclass(frozen=True)
class Collage:
    """What the outline of one scene holds, moving over the photograph of another."""

    front: Scene
    back: Scene
    steps: tuple[tuple[int, int], tuple[int, int]]

    def frames(self, root: Path) -> tuple[list[Array], int]:
        """Four frames, and the index of the one shown; each of the two moves by its step x, y per frame."""
        front, back = photograph(self.front, root), photograph(self.back, root)
        height, width = front.shape[:2]
        inside = cv2.fillPoly(np.zeros((height, width, 1), np.uint8), [np.array(self.front.outline)], 1)
        layers = np.dstack([front, inside]), cv2.resize(back, (width, height))
        frames = []
        for time in range(4):
            (cut, behind) = (
                cv2.warpAffine(
                    layer, np.array([[1.1, 0, x * time - 0.05 * width], [0, 1.1, y * time - 0.05 * height]]), (width, height)
                )
                for layer, (x, y) in zip(layers, self.steps, strict=True)
            )
            frames.append(np.where(cut[..., 3:] > 0, cut[..., :3], behind))
        return frames, 2


LAYERS = [
    Collage(GORILLA, HILL, ((-4, 0), (3, 0))),
    Collage(TORTOISE, CHILDREN, ((5, -1), (-1, 2))),
    Film("0016E5", 8043, 8049, 8047),
]


def scenes_of(about: MethodDescription) -> Sequence[Scene | Film | Collage]:
    """Three scenes that suit a method."""
    if about["sequence"]:
        return {"frame_difference": SHAKEN, "affine_layers": LAYERS}.get(about["name"], CORNER)
    if about["result"] == "objects":
        return [Scene(f"nuclei/images/val/{name}.png") for name in ("3a3fee427e6e", "0e4c2e2780de", "9bb6e39d5f44")]
    if about["result"] == "regions":
        return [POLO, HILL, STREET]
    if about["hints"] and about["hints"][0] == "box":
        return [GORILLA, POLO, ELEPHANTS]
    if about["hints"]:
        return [GORILLA, HILL, CHILDREN if "scribbles" in about["hints"] else TORTOISE]
    if "chan_vese" in about["name"]:  # two mean colours, and no start needed
        return [replace(COINS, box=None), replace(NUCLEI, box=None), RAILS]
    return [COINS, GORILLA, NUCLEI]


def photograph(scene: Scene, root: Path) -> Array:
    if scene.photo == "coins":
        return fitted(coins())
    return fitted(np.asarray(Image.open(root / scene.photo)))


def fitted(image: Array) -> Array:
    """The upper part in the shape of all scenes."""
    return image[: round(image.shape[1] / SHAPE)]


def shake(image: Array, rng: int) -> Array:
    """The image as seen with another turn of up to 2 degrees and up to 12 pixels beside, without its margin."""
    turn, x, y = np.random.default_rng(rng).uniform(-1, 1, 3) * (2, 12, 12)
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.15)
    matrix[:, 2] += x, y
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC))


def number_of(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.stem.rpartition("_")[2])))
