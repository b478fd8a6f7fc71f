import json
import struct

import numpy as np
import pytest

import intarsia
from intarsia.classical.random_forest import RandomForest
from intarsia.core import ClassSpace, LabelMap, ModelFileError, Sample
from intarsia.inference import read_method, write_method

CLASSES = ClassSpace.from_names(["dark", "bright"])


@pytest.fixture(scope="module")
def forest():
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    truth = LabelMap((image[..., 0] > 128).astype(np.uint8), CLASSES)
    return RandomForest.fit([Sample(image, (truth,), "one")], CLASSES, trees=3, scales=1), image


def test_what_was_written_is_read(forest, tmp_path):
    fitted, image = forest
    path = write_method(tmp_path / "deep" / "forest.safetensors", fitted, {"data": "noise"})
    read = intarsia.load(path)
    assert np.array_equal(read.predict(image, prob=True).prob, fitted.predict(image, prob=True).prob)
    assert (read.name, read.task, read.classes) == ("forest", "semantic", CLASSES)
    assert read.card.history == {"data": "noise"}
    assert (read.card.options, read.card.scores, read.note) == (fitted.options, fitted.scores, fitted.note)
    assert read_method(path).name == "random_forest"


def rewritten(path, change):
    """The file with a changed header."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    ours = json.loads(header["__metadata__"]["intarsia"])
    change(ours)
    header["__metadata__"]["intarsia"] = json.dumps(ours)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    return path


def test_files_that_contradict_themselves(forest, tmp_path):
    def changed(change):
        return rewritten(write_method(tmp_path / "best.safetensors", forest[0]), change)

    with pytest.raises(ModelFileError, match=r"trees for 2 classes stand beside 1 names"):
        intarsia.load(changed(lambda card: card["classes"]["classes"].pop()))
    with pytest.raises(ModelFileError, match=r"do not make the 'random_forest' that its header names \('scales'\)"):
        intarsia.load(changed(lambda card: card["method"]["options"].pop("scales")))
    with pytest.raises(ModelFileError, match=r"no classical method called 'random_florest'"):
        intarsia.load(changed(lambda card: card["method"].update(name="random_florest")))
    with pytest.raises(ModelFileError, match=r"slic is a classical method that learns nothing"):
        intarsia.load(changed(lambda card: card["method"].update(name="slic")))
    with pytest.raises(ModelFileError, match=r"lacks 'note'"):
        intarsia.load(changed(lambda card: card.pop("note")))
    with pytest.raises(ModelFileError, match=r"in format 7; this is"):
        intarsia.load(changed(lambda card: card.update(format_version=7)))
    whole = write_method(tmp_path / "best.safetensors", forest[0])
    whole.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(ModelFileError, match=r"is truncated: 40 bytes are missing"):
        intarsia.load(whole)
