"""export on a trained network: the file predicts as the model does, with Intarsia and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import intarsia
from intarsia.core import ClassSpace, ModelFileError, SettingsError
from intarsia.data.formats import write_image
from intarsia.data.preprocessing import Preprocessing
from intarsia.exporting import run_onnx
from intarsia.inference import InstanceNetwork, ModelCard, write_model
from intarsia.models import ModelSpec

REPOSITORY = Path(__file__).resolve().parents[2]
WITHOUT_TORCH = """
import runpy, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "intarsia", "cv2"):
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, NoTorch())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def onnx(run, tmp_path_factory):
    return intarsia.export(run[0].best, out=tmp_path_factory.mktemp("export"))


def model_file(path, name="unet", options=None, channels=3, fit_hw=None, classes=("sky", "car", "person")):
    torch.manual_seed(0)
    space = ClassSpace.from_names(list(classes))
    known = len(space) - (name in ("ternausnet_v2", "metric_learning"))
    spec = ModelSpec(name, known, channels, options=options or {"width": 4, "depth": 2})
    card = ModelCard(spec, space, Preprocessing((0.4,) * channels, (0.2,) * channels, fit_hw), spec.task)
    return write_model(path, spec.build(), card)


def photos(folder, channels=3, sizes=((37, 53), (60, 41))):
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(sizes):
        coarse = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1, channels), np.uint8)
        write_image(folder / f"{number}.png", coarse.repeat(6, 0).repeat(6, 1)[:height, :width])
    return folder


def test_it_was_compared_on_the_data_that_it_was_trained_on(onnx):
    assert [path.name for path in sorted(onnx.path.parent.iterdir())] == ["model.onnx", "model.onnx.json", "run_onnx.py"]
    assert onnx.parity.holds
    assert onnx.parity.images == 8
    assert onnx.parity.max_difference < 1e-3
    said = json.loads(onnx.sidecar.read_text())
    assert said["graph"] == {"input": "image", "outputs": ["logits"], "parity": onnx.parity.to_dict()}
    assert [entry["name"] for entry in said["classes"]["classes"]] == ["background", "foreground"]


def test_it_predicts_and_is_evaluated_as_the_model(onnx, run, cells, tmp_path):
    inputs = [cells / "images"]
    for out, model in (("a", run[0].best), ("b", onnx.path)):
        rows = intarsia.predict(inputs, model=model, out=tmp_path / out, overlays=False)
        assert all(row.error is None for row in rows)
    for mask in (tmp_path / "a/masks").iterdir():
        same = np.asarray(Image.open(mask)) == np.asarray(Image.open(tmp_path / "b/masks" / mask.name))
        assert same.mean() >= 0.999
    scores = [intarsia.evaluate(cells, model=model).scores.miou for model in (run[0].best, onnx.path)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_the_runner_needs_no_torch(onnx, cells, run, tmp_path):
    assert len(onnx.runner.read_text().splitlines()) < 100
    photo = cells / "images" / "c03.png"
    command = [sys.executable, "-c", WITHOUT_TORCH, onnx.runner, onnx.path, photo, tmp_path / "mask.png"]
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    mask = Image.open(tmp_path / "mask.png")
    assert mask.mode == "P"
    expected = intarsia.load(run[0].best)(photo)
    assert (np.asarray(mask) == expected.ids).mean() >= 0.999
    assert len(np.unique(expected.ids)) == 2
    colors = np.array([color for c in expected.classes.to_dict()["classes"] for color in [c["color"]]])
    assert np.array_equal(np.asarray(mask.convert("RGB")), colors[np.asarray(mask)])


@pytest.mark.parametrize(("fit_hw", "channels"), [((24, 24), 3), ((90, 90), 3), (None, 1), ((30, 50), 1)])
def test_the_runner_prepares_an_image_as_intarsia_does(fit_hw, channels, tmp_path):
    """Shrunk, enlarged and made grey: what the network sees is the same up to the rounding of a pixel to whole numbers."""
    preprocessing = Preprocessing((0.4,) * channels, (0.2,) * channels, fit_hw)
    runner = run_onnx.Segmenter.__new__(run_onnx.Segmenter)
    runner.mean, runner.std, runner.fit_hw = preprocessing.mean, preprocessing.std, fit_hw
    for dtype, largest in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1)):
        image = (np.random.default_rng(0).random((37, 53, 3)) * largest).astype(dtype)
        expected = preprocessing.normalize(preprocessing.fit(image))
        rounding = {np.uint8: 2, np.uint16: 70}.get(dtype, 0.01) / largest  # OpenCV weighs with 11 bits
        np.testing.assert_allclose(runner.prepare(image), expected, atol=rounding / 0.2 if dtype != np.float32 else 1e-5)


def test_scores_are_enlarged_and_shrunk_as_intarsia_does():
    scores = np.random.default_rng(0).random((3, 11, 17)).astype(np.float32)
    for size in ((30, 40), (7, 9), (11, 17)):
        expected = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], size, mode="bilinear")[0].numpy()
        np.testing.assert_allclose(run_onnx.resize(scores, size, area=False), expected, atol=1e-6)


def test_torchscript_of_an_instance_network_finds_the_same_objects(tmp_path):
    model = model_file(tmp_path / "m.safetensors", "ternausnet_v2", tiny("ternausnet_v2"))
    folder = photos(tmp_path / "photos")
    made = intarsia.export(model, out=tmp_path / "out", to="torchscript", images=[folder])
    assert made.path.name == "model.torchscript"
    assert made.runner is None
    first, second = intarsia.load(model), intarsia.load(made.path)
    assert isinstance(second, InstanceNetwork)
    for photo in sorted(folder.iterdir()):
        found, expected = second(photo), first(photo)
        assert len(found.class_id) == len(expected.class_id)
        assert found.areas() == expected.areas()


def tiny(name):
    from intarsia.models import network_catalog

    return network_catalog(name)[1].load(name).TINY


def test_grey_images_that_shrink(tmp_path):
    model = model_file(tmp_path / "m.safetensors", channels=1, fit_hw=(32, 32))
    folder = photos(tmp_path / "photos", 1)
    made = intarsia.export(model, out=tmp_path / "out", to="torchscript", images=[folder], count=1)
    assert made.parity.images == 1
    assert np.array_equal(intarsia.load(made.path)(folder / "1.png").ids, intarsia.load(model)(folder / "1.png").ids)


def test_what_is_not_the_same_is_not_written(tmp_path, monkeypatch):
    from intarsia.inference.exported import ExportedNetwork

    model, folder = model_file(tmp_path / "m.safetensors"), photos(tmp_path / "photos")
    honest = ExportedNetwork.forward

    def other_classes(self, image):
        output = honest(self, image)
        return output._replace(logits=output.logits.roll(1, 1))

    monkeypatch.setattr(ExportedNetwork, "forward", other_classes)
    with pytest.raises(ModelFileError, match=r"agree on \d+\.\d\d% of its pixels, .* 99.9% are needed"):
        intarsia.export(model, out=tmp_path / "out", to="torchscript", images=[folder])
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_is_a_sentence(tmp_path, onnx):
    model = model_file(tmp_path / "m.safetensors")
    for settings, error in (
        ({"to": "caffe"}, "can be onnx, torchscript, torch-export; 'caffe' was given"),
        ({"count": 0}, "compared on 0 images; at least one"),
        ({}, r"it does not say what it was trained on\. Give some: --images FOLDER"),
        ({"images": [tmp_path / "nowhere"]}, "no file, folder or match"),
    ):
        with pytest.raises(SettingsError, match=error):
            intarsia.export(model, out=tmp_path / "out", **settings)
    with pytest.raises(SettingsError, match="is exported already"):
        intarsia.export(onnx.path, out=tmp_path / "out")
    with pytest.raises(SettingsError, match="runs on the processor here, and the device 'cuda' was given"):
        intarsia.load(onnx.path, device="cuda")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_damaged_or_alone(onnx, tmp_path):
    lonely = tmp_path / "model.onnx"
    with pytest.raises(ModelFileError, match=r"model.onnx does not exist"):
        intarsia.load(lonely)
    lonely.write_bytes(onnx.path.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match=r"has no model.onnx.json beside it"):
        intarsia.load(lonely)
    beside = tmp_path / "model.onnx.json"
    beside.write_text(onnx.sidecar.read_text()[:-40])
    with pytest.raises(ModelFileError, match=r"model.onnx.json cannot be used"):
        intarsia.load(lonely)
    beside.write_text(onnx.sidecar.read_text())
    with pytest.raises(ModelFileError, match=r"cannot be opened: .* Export it again"):
        intarsia.load(lonely)
