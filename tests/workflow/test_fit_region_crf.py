import numpy as np
import pytest

import intarsia
from intarsia.core import ClassSpace, Instances, LabelMap, Sample, SettingsError
from intarsia.inference.refined import create_refinement

CLASSES = ClassSpace.from_names(["sky", "grass"])


class Meadows:
    """Sky above grass, the horizon elsewhere in each image."""

    name, task, classes, notes = "meadows", "semantic", CLASSES, ()

    def __init__(self):
        self.splits = {"train": [], "val": ["0", "1", "2"], "test": ["3", "4"]}

    def read(self, key):
        ids = np.zeros((32, 40), np.uint8)
        ids[10 + 3 * int(key) :] = 1
        image = (100 + 60 * ids[..., None] + np.random.default_rng(int(key)).normal(0, 2, (32, 40, 3))).astype(np.uint8)
        return Sample(image, (LabelMap(ids, CLASSES),), key)


class Unsure:
    """Knows the horizon, but of an eighth of the squares, and those wrongly."""

    name, task, classes = "unsure", "semantic", CLASSES

    def predict(self, image, hints=None, *, prob=False):
        rng = np.random.default_rng(int(image[0, 0, 0]))
        wrong = np.kron(rng.random((4, 5)) < 0.15, np.ones((8, 8), bool))
        grass = np.where((image.astype(float).mean((1, 2)) > 130)[:, None] ^ wrong, 0.6, 0.4).astype(np.float32)
        return LabelMap((grass > 0.5).astype(np.uint8), CLASSES, np.stack([1 - grass, grass]) if prob else None)


def test_what_is_learnt_is_what_refine_file_reads(tmp_path) -> None:
    told = []
    out = tmp_path / "field.toml"
    fitted = intarsia.fit_region_crf(Unsure(), Meadows(), out=out, segments=40, progress=lambda *step: told.append(step))
    assert [number for number, *_ in told] == [1, 2, 3]
    assert create_refinement(file=out) == ("region_crf", fitted.field)
    said = f"# unsure on 3 images of meadows val: mIoU {fitted.before:.4f}, refined {fitted.after:.4f}"
    assert out.read_text().splitlines()[0] == said
    assert fitted.images == 3
    assert fitted.after > fitted.before + 0.05
    before = intarsia.evaluate(Meadows(), model=Unsure(), split="test").scores.miou
    assert intarsia.evaluate(Meadows(), model=Unsure(), split="test", refine_file=out).scores.miou > before + 0.05


def test_errors() -> None:
    with pytest.raises(SettingsError, match="meadows has no images in a split 'train'"):
        intarsia.fit_region_crf(Unsure(), Meadows(), split="train")
    with pytest.raises(SettingsError, match="slic does not give each pixel a class"):
        intarsia.fit_region_crf("slic", Meadows())

    class Objects(Meadows):
        def read(self, key):
            sample = super().read(key)
            return Sample(sample.image, (Instances.from_ids(sample.truth.ids, CLASSES, 1),), key)

    with pytest.raises(SettingsError, match="0 has a truth of kind Instances; a field is learnt from label maps"):
        intarsia.fit_region_crf(Unsure(), Objects())
