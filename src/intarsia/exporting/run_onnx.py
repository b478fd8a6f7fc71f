"""Segment images with an exported network. numpy and onnxruntime are all that it needs, and Pillow to read and write files.

    python run_onnx.py model.onnx photo.jpg mask.png

In a program: `Segmenter("model.onnx")(pixels)`, where pixels are (height, width) or (height, width, channels), RGB.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class Segmenter:
    """A network beside the JSON that says how an image is prepared (`model.onnx` and `model.onnx.json`)."""

    def __init__(self, model: str) -> None:
        about = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.colors = [entry["color"] for entry in about["classes"]["classes"]]
        self.names = [entry["name"] for entry in about["classes"]["classes"]]
        self.mean, self.std, self.fit_hw = (about["preprocessing"][key] for key in ("mean", "std", "fit_hw"))

    def __call__(self, image: Any) -> Any:
        """The number of the class of each pixel, (height, width)."""
        small = self.prepare(image)
        (scores,) = self.session.run(["logits"], {"image": small[None]})
        scores = resize(scores[0], image.shape[:2], area=False)
        return (scores[0] > 0).astype(np.uint8) if len(scores) == 1 else scores.argmax(0).astype(np.uint16)

    def prepare(self, image: Any) -> Any:
        """(channels, h, w) float32, as the network was trained to see it."""
        image = image[..., None] if image.ndim == 2 else image
        have, want = image.shape[2], len(self.mean)
        if have in (3, 4) and want == 1:
            grey = image[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
            image = (grey if image.dtype.kind == "f" else grey.round()).astype(image.dtype)[..., None]
        elif (have, want) == (1, 3):
            image = image.repeat(3, axis=2)
        elif have != want and (have, want) not in ((4, 3), (2, 1)):
            raise ValueError(f"The image has {have} channels, and the network was trained on {want}.")
        image = image[..., :want].transpose(2, 0, 1)
        values = image.astype(np.float32)
        if self.fit_hw:
            scale = min(self.fit_hw[0] / image.shape[1], self.fit_hw[1] / image.shape[2])
            values = resize(values, [max(1, round(side * scale)) for side in image.shape[1:]], area=True)
            values = values if image.dtype.kind == "f" else values.round()  # as images of whole numbers are resized
        values /= {"uint8": 255, "uint16": 65535}.get(image.dtype.name, 1)
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (self.mean, self.std))
        return np.ascontiguousarray((values - mean) / std)


def resize(maps: Any, size_hw: Any, *, area: bool) -> Any:
    """Maps (C, h, w) to (C, H, W), bilinearly with pixel centres at half; with `area`, by averages where they shrink."""
    rows, columns = (weights(old, new, area) for old, new in zip(maps.shape[1:], size_hw, strict=True))
    return rows @ maps @ columns.T


def weights(old: int, new: int, area: bool) -> Any:
    """(new, old): the share of each old pixel in each new one."""
    if area and new < old:
        edges = np.arange(new + 1) * old / new
        shares = np.minimum(edges[1:, None], np.arange(old) + 1) - np.maximum(edges[:-1, None], np.arange(old))
        return (shares.clip(0) * new / old).astype(np.float32)
    centres = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    return (1 - np.abs(centres[:, None] - np.arange(old))).clip(0).astype(np.float32)


def main(model: str, source: str, target: str) -> None:
    """Write the mask of an image: numbers of classes inside, their colours outside."""
    from PIL import Image, ImageOps

    picture: Any = ImageOps.exif_transpose(Image.open(source))
    if picture.mode not in ("L", "RGB", "RGBA", "F") and not picture.mode.startswith("I;16"):
        picture = picture.convert("RGB")
    segmenter = Segmenter(model)
    mask: Any = Image.fromarray(segmenter(np.asarray(picture)).astype(np.uint8))
    mask.putpalette([value for color in segmenter.colors for value in color])
    mask.save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
