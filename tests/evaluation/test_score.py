"""Files as other tools write them (Pillow, JSON), scored; values by hand or by the metric's own test."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, DataError, Instances, LabelMap, Panoptic, Segment, SettingsError
from intarsia.data.formats.coco import write_coco
from intarsia.data.formats.coco_panoptic import write_coco_panoptic
from intarsia.evaluation import ScoreRefused
from intarsia.evaluation.score import score_files

NAMES = ["background", "cat", "dog"]


def save(path, values, dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype)).save(path)


@pytest.fixture
def masks(tmp_path):
    """Two images; class 7 is right in 3 of 4, and 255 is void in the truth."""
    save(tmp_path / "truth/a.png", [[0, 0, 7, 7], [0, 0, 7, 7]])
    save(tmp_path / "guess/a.png", [[0, 0, 7, 7], [0, 0, 0, 7]])
    save(tmp_path / "truth/b.png", [[255, 0, 0, 0]])
    save(tmp_path / "guess/b.png", [[7, 0, 0, 0]])
    return tmp_path


def score(folder, task="semantic", **options):
    return score_files(folder / "guess", folder / "truth", task, **options)


def test_semantic_masks_of_any_tool(masks):
    done = score(masks)
    scores = done.scores["confusion"]
    assert scores.columns == ("0", "7")
    assert scores.of("iou", "7") == pytest.approx(3 / 4)
    assert scores.of("iou", "0") == pytest.approx(7 / 8)
    assert done.images == 2
    assert any("255 occurs in the truth only" in note for note in done.notes)
    assert any(note.startswith("91.7% of the pixels") for note in done.notes)
    low, high = done.intervals["confusion"].of("miou")
    assert low <= scores["miou"] <= high
    assert json.loads(json.dumps(done.to_dict(), allow_nan=False))["scores"]["confusion"]["classes"][1]["iou"] == pytest.approx(
        0.75
    )


def test_what_255_means(masks):
    save(masks / "guess/b.png", [[255, 0, 0, 0]])
    both = score(masks)
    assert both.scores["confusion"].columns == ("0", "7", "255")
    assert any("255 occurs in truth and prediction and counts as a class" in note for note in both.notes)
    assert score(masks, ignore=255).scores["confusion"].columns == ("0", "7")
    other = score(masks, ignore=7)
    assert other.scores["confusion"].columns == ("0", "255")
    assert any("which is to be ignored, occurs in no truth" in note for note in score(masks, ignore=9).notes)


def test_classes_are_named(masks):
    names = [f"c{index}" for index in range(8)]
    scores = score(masks, classes=names).scores["confusion"]
    assert scores.of("iou", "c7") == pytest.approx(3 / 4)
    assert np.isnan(scores.of("iou", "c3"))
    with pytest.raises(SettingsError, match=r"hold 7, and the 3 classes given are those of the values 0 to 2"):
        score(masks, classes=NAMES)
    save(masks / "truth/b.png", [[7, 0, 0, 0]])
    with pytest.raises(SettingsError, match="7 is to be ignored, and it is the class 'c7'"):
        score(masks, classes=names, ignore=7)


def test_files_of_our_own_say_their_classes(tmp_path):
    classes = ClassSpace.from_names(NAMES)
    other = ClassSpace.from_names(["dog", "background", "cat"])
    LabelMap(np.array([[1, 2, 255]], np.uint8), classes).save(tmp_path / "truth/a.png")
    LabelMap(np.array([[2, 2, 0]], np.uint8), other).save(tmp_path / "guess/a.png")
    scores = score(tmp_path).scores["confusion"]
    assert scores.columns == tuple(NAMES)
    assert [scores.of("recall", name) for name in ("cat", "dog")] == [1, 0], "matched by name"


@pytest.mark.parametrize(
    ("truth", "guess", "words"),
    [
        ([[0, 1, 255, 255, 255]], [[0, 1, 1, 1, 1]], r"Only 40\.0% of the pixels of .*truth can be scored.*`--ignore ID`"),
        ([[3, 3, 3, 3]], [[3, 3, 3, 1]], "All 4 scored pixels of .*truth are '3' in the truth, one of the 2 classes"),
        ([[0, 0, 0]], [[0, 0, 0]], "are '0' in the truth, the only class"),
    ],
)
def test_a_score_that_means_nothing_is_refused_and_given_with_a_note_when_asked_for(tmp_path, truth, guess, words):
    save(tmp_path / "truth/a.png", truth)
    save(tmp_path / "guess/a.png", guess)
    with pytest.raises(ScoreRefused, match=words + ".*`intarsia score ... --allow-partial`") as refused:
        score(tmp_path)
    assert refused.value.to_dict()["dataset"] == str(tmp_path / "truth")
    assert "Probably it is the object" not in str(refused.value)
    assert score(tmp_path, allow_partial=True).notes[-1] in str(refused.value)


def test_half_of_the_pixels_is_enough(tmp_path):
    save(tmp_path / "truth/a.png", [[0, 1, 255, 255]])
    save(tmp_path / "guess/a.png", [[0, 1, 1, 1]])
    assert score(tmp_path).scores["confusion"]["miou"] == 1


def test_nothing_scored_is_refused_whatever_is_allowed(tmp_path):
    save(tmp_path / "truth/a.png", [[255, 255]])
    save(tmp_path / "guess/a.png", [[0, 1]])
    with pytest.raises(ScoreRefused, match="Not one pixel"):
        score(tmp_path, allow_partial=True)


@pytest.mark.parametrize("inside", [0, 1])
def test_an_object_of_255_is_not_taken_as_ignored_in_silence(tmp_path, inside):
    """Of 4 pixels of the object the prediction has none, or 3 called 1."""
    save(tmp_path / "truth/a.png", [[0, 0, 0, 0, 255, 255, 255, 255]])
    save(tmp_path / "guess/a.png", [[0, 0, 0, 0, 0, inside, inside, inside]])
    with pytest.raises(ScoreRefused, match=r"0 and 255 only, and 255 was taken .* the object: then say `--ignore none`"):
        score(tmp_path)
    with pytest.raises(ScoreRefused, match="then say `--ignore none`"):
        score(tmp_path, classes=["ground", "cell"])
    scores = score(tmp_path, ignore="none", classes=["ground", "cell"]).scores["confusion"]
    assert scores.of("iou", "cell") == pytest.approx(3 / 4 * inside)
    unnamed = score(tmp_path, ignore="none").scores["confusion"]
    assert unnamed.columns == ("0", "1 or 255" if inside else "255")
    assert unnamed["miou"] == scores["miou"]


def test_an_object_of_255_against_files_of_our_own(tmp_path):
    classes = ClassSpace.from_names(["ground", "cell"])
    save(tmp_path / "truth/a.png", [[0, 0, 255, 255]])
    LabelMap(np.array([[0, 0, 0, 1]], np.uint8), classes).save(tmp_path / "guess/a.png")
    with pytest.raises(ScoreRefused, match="the object: then say `--ignore none`"):
        score(tmp_path)
    assert score(tmp_path, ignore="none").scores["confusion"].of("iou", "cell") == 1 / 2
    LabelMap(np.array([[0, 255, 255, 255]], np.uint8), classes).save(tmp_path / "truth/a.png")
    with pytest.raises(ScoreRefused) as refused:
        score(tmp_path)
    assert "Probably it is the object" not in str(refused.value), "our own files say that 255 is void"


def test_0_and_255_against_0_and_1(tmp_path):
    save(tmp_path / "truth/a.png", [[0, 0, 1, 1]])
    save(tmp_path / "guess/a.png", [[0, 0, 0, 255]])
    assert score(tmp_path).scores["confusion"].of("iou", "1 or 255") == 1 / 2


def test_files_that_do_not_pair_are_named(masks):
    save(masks / "guess/c.png", [[0]])
    with pytest.raises(DataError, match=r"Of 3 predictions in .*guess, c have no truth"):
        score(masks)


@pytest.fixture
def objects(tmp_path):
    """The first object is found with IoU 4/5, the second missed, and one invented."""
    save(tmp_path / "truth/a.png", [[1, 1, 1, 1, 1, 0, 2, 2, 0, 0]], np.uint16)
    save(tmp_path / "guess/a.png", [[9, 9, 9, 9, 0, 0, 0, 0, 4, 4]], np.uint16)
    return tmp_path


def test_object_numbers_of_any_tool(objects):
    done = score(objects, "instance")
    assert done.scores["mean_precision"]["precision_at_50"] == pytest.approx(1 / 3)
    assert done.scores["aji"]["aji"] == pytest.approx(4 / (5 + 2 + 2))
    assert done.scores["coco_mask_ap"].columns == ("object",)
    assert any("carry no scores" in note for note in done.notes)
    assert score(objects, "instance", classes=["cell"]).scores["voc_ap"].columns == ("cell",)
    with pytest.raises(SettingsError, match=r"cat, dog are given, and object numbers cannot tell them apart"):
        score(objects, "instance", classes=["cat", "dog"])


def test_a_value_of_void_among_object_numbers(objects):
    save(objects / "truth/a.png", [[1, 1, 1, 1, 1, 0, 2, 2, 255, 255]], np.uint8)
    done = score(objects, "instance")
    assert any("255 occurs in the truth only" in note for note in done.notes)
    assert done.scores["mean_precision"]["precision_at_50"] == pytest.approx(1 / 2), "what lies on void is not invented"
    save(objects / "truth/a.png", [[1, 1, 1, 1, 1, 0, 2, 254, 255, 255]], np.uint8)
    assert not any("255" in note for note in score(objects, "instance").notes), "254 objects come before it"
    save(objects / "truth/a.png", [[1, 1, 1, 1, 1, 0, 2, 2, 255, 255]], np.uint8)
    done = score(objects, "instance", ignore="none")
    assert done.scores["mean_precision"]["precision_at_50"] == pytest.approx(2 / 3)


def test_coco_instances_on_either_side(objects):
    classes = ClassSpace.from_names(["cat", "dog"], things=["cat", "dog"])
    truth = Instances.from_ids(np.array([[1, 1, 1, 1, 1, 0, 2, 2, 0, 0]]), classes, {1: 0, 2: 1})
    path = write_coco(objects / "truth.json", {"a.jpg": truth}, classes)
    content = json.loads(path.read_text())
    results = [{**content["annotations"][0], "score": 0.9}]
    (objects / "results.json").write_text(json.dumps(results))
    done = score_files(objects / "results.json", path, "instance")
    assert done.scores["coco_mask_ap"].of("ap_of_class", "cat") == 1
    assert done.scores["coco_box_ap"].of("ap_of_class", "dog") == 0
    assert not any("carry no scores" in note for note in done.notes)
    with pytest.raises(DataError, match=r"a\.png holds object numbers and does not say their classes, of which there are 2"):
        score_files(objects / "guess", path, "instance")
    with pytest.raises(SettingsError, match="--ignore 5 is for files of object numbers by other tools"):
        score_files(objects / "results.json", path, "instance", ignore=5)


def test_names_in_coco_files_pair_whatever_the_bytes_of_an_accent(tmp_path):
    ids, classes = np.array([[1, 1, 0, 2]], np.uint16), ClassSpace.from_names(["cell"], things=["cell"])
    save(tmp_path / "guess" / f"{unicodedata.normalize('NFC', 'Zürich')}.png", ids, np.uint16)
    name = f"{unicodedata.normalize('NFD', 'Zürich')}.jpg"
    path = write_coco(tmp_path / "truth.json", {name: Instances.from_ids(ids, classes, 0)}, classes)
    assert score_files(tmp_path / "guess", path, "instance").scores["aji"]["aji"] == 1


def test_coco_panoptic_and_ours(tmp_path):
    classes = ClassSpace.from_names(["sky", "dog"], things=["dog"])
    truth = Panoptic(
        np.array([[1, 1, 1, 1, 70000, 70000, 9]], np.int32), (Segment(1, 0), Segment(70000, 1), Segment(9, 1)), classes
    )
    guess = Panoptic(np.array([[1, 1, 1, 5, 5, 5, 0]], np.int32), (Segment(1, 0), Segment(5, 1)), classes)
    for folder, panoptic in (("truth", truth), ("guess", guess)):
        panoptic.save(tmp_path / folder / "a.png")
        write_coco_panoptic(tmp_path / f"coco_{folder}.json", {"a.png": panoptic}, classes)
    ours = score(tmp_path, "panoptic").scores["panoptic_quality"]
    coco = score_files(tmp_path / "coco_guess", tmp_path / "coco_truth.json", "panoptic").scores["panoptic_quality"]
    mixed = score_files(tmp_path / "guess", tmp_path / "coco_truth.json", "panoptic").scores["panoptic_quality"]
    for scores in (ours, coco, mixed):
        assert scores["pq_stuff"] == pytest.approx(3 / 4)
        assert scores["pq_things"] == pytest.approx(2 / 3 / 1.5)
    void = score(tmp_path, "panoptic", ignore=9).scores["panoptic_quality"]
    assert void["pq_things"] == pytest.approx(2 / 3)
    with pytest.raises(SettingsError, match="cat are given, and panoptic files say theirs"):
        score(tmp_path, "panoptic", classes=["cat"])


def test_regions_of_several_annotators(tmp_path):
    halves, thirds = [[1, 1, 1, 2, 2, 2]] * 4, [[1, 1, 2, 2, 3, 3]] * 4
    save(tmp_path / "guess/7.png", [[5, 5, 5, 9, 9, 9]] * 4)
    save(tmp_path / "truth/7_a1.png", halves)
    alone = score(tmp_path, "regions").scores["regions"]
    assert alone["rand_index"] == 1
    assert alone["covering"] == 1
    save(tmp_path / "truth/7_a2.png", thirds)
    done = score(tmp_path, "regions")
    assert 0.5 < done.scores["regions"]["rand_index"] < 1
    assert any("1 images have 2 truths" in note for note in done.notes)
    save(tmp_path / "truth/7_a2.png", [[1, 1, 1, 2, 2, 255]] * 4)
    ignored = score(tmp_path, "regions")
    assert ignored.scores["regions"]["covering"] == 1, "its pixels are left out"
    assert any("255 occurs in the truth only" in note for note in ignored.notes)
    with pytest.raises(SettingsError, match="regions have none"):
        score(tmp_path, "regions", classes=["x"])


def test_real_files(shared_data, tmp_path):
    folder = shared_data("nuclei")
    truth = folder / "instances" / "val"
    for path in sorted(truth.glob("*.png"))[:3]:
        for side in ("guess", "truth"):
            (tmp_path / side).mkdir(exist_ok=True)
            (tmp_path / side / path.name).symlink_to(path)
    assert score(tmp_path, "instance").scores["aji"]["aji"] == 1
    bsds = shared_data("bsds") / "segmentations"
    (tmp_path / "regions").mkdir()
    (tmp_path / "people").mkdir()
    for path in sorted(bsds.glob("2018_a*.png")):
        (tmp_path / "people" / path.name).symlink_to(path)
    (tmp_path / "regions/2018.png").symlink_to(bsds / "2018_a1.png")
    scores = score_files(tmp_path / "regions", tmp_path / "people", "regions").scores["regions"]
    assert 0.7 < scores["rand_index"] < 1


def test_errors(masks):
    with pytest.raises(SettingsError, match=r"There is no task 'instances'\. Did you mean 'instance'\? Tasks: semantic"):
        score(masks, "instances")
    save(masks / "guess/b.png", [[[9, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]])
    with pytest.raises(DataError, match=r"b\.png holds RGB colours"):
        score(masks)
