import io
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest

import intarsia
from intarsia.classical import TWO_CLASSES, create_method
from intarsia.cli import main
from intarsia.core import ClassSpace, Hints, Instances, LabelMap, Predictor, SettingsError, UnknownNameError
from intarsia.data.formats import read_mask, write_image, write_mask
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference import ModelCard, SemanticNetwork
from intarsia.inference.refined import REFINEMENTS, Refined, create_refinement, write_refinement
from intarsia.models import ModelSpec
from intarsia.postprocess.dense_crf import DEEPLAB_V2, DenseCRF, refine

SPACE = ClassSpace.from_names(["left", "right"])
FIELD = DenseCRF(bilateral_xy=20)


def halves():
    """A picture of a dark and a bright half, and labels with a hole in each."""
    image = np.full((24, 32, 3), 40, np.uint8)
    image[:, 16:] = 200
    ids = np.zeros((24, 32), np.uint8)
    ids[:, 16:] = 1
    ids[4:7, 4:7], ids[4:7, 24:27] = 1, 0
    return image, ids


class Holes:
    """Finds the halves, but for a hole in each."""

    name, task, classes = "holes", "semantic", SPACE

    def predict(self, image, hints=None):
        return LabelMap(halves()[1], SPACE)


def test_holes_are_filled_and_the_rest_stays():
    image, ids = halves()
    refined = Refined(Holes(), FIELD)
    assert isinstance(refined, Predictor)
    assert (refined.name, refined.task, refined.classes) == ("holes + crf", "semantic", SPACE)
    found = refined.predict(image)
    assert np.array_equal(found.ids, image[..., 0] // 150)
    assert (found.ids != ids).sum() == 18
    for frame in refined.segment_sequence([image, image]):
        assert np.array_equal(frame.ids, found.ids)


def test_the_probabilities_of_a_network_are_used():
    spec = ModelSpec("unet", num_classes=2, options={"width": 4, "depth": 1})
    network = SemanticNetwork(spec.build(), ModelCard(spec, SPACE, Preprocessing((0.4,) * 3, (0.2,) * 3, None)), device="cpu")
    image, _ = halves()
    refined = Refined(network, FIELD)
    assert refined.device == "cpu"
    expected = refine(network.predict(image, prob=True), image, FIELD)
    assert np.array_equal(refined.predict(image).prob, expected.prob)
    assert not np.array_equal(expected.prob, refine(network.predict(image), image, FIELD).prob)


def test_methods_with_hints_and_frames():
    image, _ = halves()
    found = Refined(create_method("random_walker"), FIELD).predict(
        image, Hints(points_yx=np.array([[3, 3], [3, 30], [20, 3], [20, 30]]), point_class=np.array([0, 1, 0, 1]))
    )
    assert found.classes is TWO_CLASSES
    labels = Refined(create_method("random_walker"), FIELD).predict(
        image, Hints(points_yx=np.array([[3, 3], [3, 30], [20, 3]]), point_class=np.array([0, 1, 2]))
    )
    assert labels.classes is None
    assert labels.ids.max() == 2
    moving = np.stack([image] * 3)
    moving[2, 10:16, 4:10] = 230
    found = Refined(create_method("frame_difference"), FIELD).segment_sequence(list(moving))
    assert found[0].classes is TWO_CLASSES
    assert found[2].ids[11:15, 5:9].mean() > 0.9


@pytest.mark.parametrize("name", [name for name in REFINEMENTS if name.startswith("crf")])
def test_settings_come_from_the_file_and_then_from_the_call(name, tmp_path):
    _, default = create_refinement(name)
    _, chosen = create_refinement(name, {"bilateral_xy": 20, "compatibility": [[0, 1], [2, 0]]})
    path = write_refinement(tmp_path / "deep" / "crf.toml", name, chosen, "found on ten images\nof streets")
    assert path.read_text().startswith("# found on ten images\n# of streets\n")
    assert create_refinement(file=path) == (name, chosen)
    assert create_refinement(name, {"iterations": 3}, path)[1] == DenseCRF(**{**vars(chosen), "iterations": 3})
    assert chosen == DenseCRF(**{**vars(default), "bilateral_xy": 20, "compatibility": ((0.0, 1.0), (2.0, 0.0))})


def test_presets_are_deeplab_s():
    assert create_refinement("crf")[1] == DenseCRF()
    assert create_refinement("crf_deeplab_v2")[1] == DEEPLAB_V2


@pytest.fixture
def folder(tmp_path):
    image, ids = halves()
    for number in range(4):
        write_image(tmp_path / f"data/images/{number}.png", image)
        write_mask(tmp_path / f"data/masks/{number}.png", LabelMap(image[..., 0] // 150, SPACE))
        write_mask(tmp_path / f"rough/{number}.png", LabelMap(ids, SPACE))
    return tmp_path


def test_predict_and_evaluate_refine(folder):
    intarsia.predict(
        [folder / "data/images"], model=Holes(), out=folder / "out", refine="crf", refine_options={"bilateral_xy": 20}
    )
    found = read_mask(folder / "out/masks/0.png", SPACE)
    assert np.array_equal(found.ids, halves()[0][..., 0] // 150)
    assert intarsia.evaluate(folder / "data", model=Holes(), split="train").scores.miou < 1
    file = write_refinement(folder / "crf.toml", "crf", FIELD)
    evaluation = intarsia.evaluate(folder / "data", model=Holes(), split="train", refine_file=file)
    assert evaluation.scores.miou == 1
    assert evaluation.predictor == "holes + crf"


def typed(monkeypatch, *arguments):
    """What a command prints, and its exit code."""
    printed = io.StringIO()
    monkeypatch.setattr("sys.argv", ["intarsia", *map(str, arguments)])
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main()
        except SystemExit as ended:
            return printed.getvalue(), ended.code or 0
    return printed.getvalue(), 0


def test_the_commands(folder, monkeypatch):
    given = ["--model", "chan_vese", "--refine", "crf", "--refine-set", "bilateral_xy=20"]
    printed, code = typed(monkeypatch, "predict", folder / "data/images", *given, "--out", folder / "out")
    assert (code, printed.splitlines()[-1].split(";")[0]) == (0, "4 of 4 images segmented")
    assert typed(monkeypatch, "evaluate", folder / "data", *given, "--split", "train", "--out", folder / "scores")[1] == 0
    assert "chan_vese + crf" in (folder / "scores/report.html").read_text()
    said = []
    intarsia.report(folder / "scores", say=said.append)
    assert said == []  # the scores are those of the refined predictions
    printed, code = typed(monkeypatch, "predict", folder / "data/images", *given, "--refine-set", "xy=3", "--out", folder / "no")
    assert code == 2
    assert "crf has no setting 'xy'" in printed


def test_errors(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no refinement called 'crff'. Did you mean 'crf'\? Known: crf, "):
        create_refinement("crff")
    with pytest.raises(SettingsError, match=r"no setting 'bilateral'. Did you mean 'bilateral_.*defaults: spatial_weight=3.0, "):
        create_refinement("crf", {"bilateral": 3})
    with pytest.raises(SettingsError, match=r"setting iterations is of type int, as 10; 2.5 was given"):
        create_refinement("crf", {"iterations": 2.5})
    with pytest.raises(SettingsError, match=r"bilateral_xy is of type float, as 50.0; 'wide' was given"):
        create_refinement("crf", {"bilateral_xy": "wide"})
    with pytest.raises(SettingsError, match="normalization is 'mean'; it is 'symmetric', "):
        create_refinement("crf", {"normalization": "mean"})
    for given in ("abc", [[0, 1], [1]], [["a"]]):
        with pytest.raises(SettingsError, match="crf's compatibility is no table of numbers, its rows equally long: "):
            create_refinement("crf", {"compatibility": given})
    with pytest.raises(SettingsError, match=r"compatibility has shape \(1, 2\)"):
        create_refinement("crf", {"compatibility": [[0, 1]]})
    with pytest.raises(SettingsError, match=r"cannot be read from .*none.toml"):
        create_refinement(file=tmp_path / "none.toml")
    (tmp_path / "two.toml").write_text("[crf]\n[crf_deeplab]\n")
    with pytest.raises(SettingsError, match=r"two.toml holds crf, crf_deeplab; one table"):
        create_refinement(file=tmp_path / "two.toml")
    file = write_refinement(tmp_path / "crf.toml", "crf", FIELD)
    with pytest.raises(SettingsError, match="holds the settings of 'crf', and 'crf_deeplab' was asked for"):
        create_refinement("crf_deeplab", file=file)
    with pytest.raises(SettingsError, match=r"\(bilateral_xy\) were given, and none was chosen"):
        intarsia.predict([tmp_path], model="chan_vese", out=tmp_path, refine_options={"bilateral_xy": 3})
    with pytest.raises(SettingsError, match="slic makes regions without classes; crf refines predictions"):
        Refined(create_method("slic"), FIELD)

    class Objects(Holes):
        def predict(self, image, hints=None):
            return Instances.from_ids(halves()[1], SPACE, 1)

    with pytest.raises(SettingsError, match="holes made a Instances; crf takes label maps"):
        Refined(Objects(), FIELD).predict(halves()[0])
