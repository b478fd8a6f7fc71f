"""Reports of objects and panoptic maps: what they say, and the pictures of what was found and missed."""

import re

import numpy as np
import pytest

from intarsia.core import ClassSpace, Instances, Panoptic, Sample, Segment
from intarsia.evaluation import ScoreRefused, evaluate, write_report
from intarsia.evaluation.gallery_objects import WORDS, compare_objects
from intarsia.viz.object_outlines import FOUND, INVENTED, MISSED

CLASSES = ClassSpace.from_names(["<sky>", "car"], things=["car"])
IMAGE = np.full((20, 30, 3), 100, np.uint8)


def cars(*places):
    ids = np.zeros((20, 30), np.int32)
    for number, (y, x) in enumerate(places, 1):
        ids[y : y + 6, x : x + 6] = number
    return ids


TRUTH, GUESS = cars((2, 2), (2, 20)), cars((2, 3), (12, 10))


def objects(ids):
    return Instances.from_ids(ids, CLASSES, 1)


def panoptic(ids):
    cars_seen = tuple(Segment(int(n), 1) for n in np.unique(ids[ids > 0]))
    return Panoptic(np.where(ids == 0, 9, ids), (*cars_seen, Segment(9, 0)), CLASSES)


class One:
    name, classes, notes = "one", CLASSES, ()

    def __init__(self, kind):
        self.task = "instance" if kind is objects else "panoptic"
        self.kind, self.splits = kind, {"val": ["a", "b"]}

    def read(self, key):
        return Sample(IMAGE, (self.kind(TRUTH),), key)

    def predict(self, image, hints=None):
        return self.kind(GUESS)


@pytest.mark.parametrize("kind", [objects, panoptic])
def test_what_was_found_missed_and_invented(kind):
    compared = compare_objects(IMAGE, kind(TRUTH), kind(GUESS), width=60)
    stuff = int(kind is panoptic)
    assert (compared.found, compared.missed, compared.invented) == (1 + stuff, 1, 1)
    assert list(compared.pictures) == ["image", "truth", "prediction", WORDS]
    picture = compared.pictures[WORDS]
    assert picture.shape == (40, 60, 3)
    for color in (FOUND, MISSED, INVENTED):
        assert (picture == color).all(2).sum() == 4 * 12 - 4


INSTANCE_WORDS = ("AP75", "By size of object", "mean precision 0.", "of 2 objects found")
PANOPTIC_WORDS = ("PQ of things", "things", "stuff", "of 3 segments found")


@pytest.mark.parametrize(("kind", "words"), [(objects, INSTANCE_WORDS), (panoptic, PANOPTIC_WORDS)])
def test_a_report_says_scores_classes_and_pictures(kind, words, tmp_path):
    both = One(kind)
    result = evaluate(both, both)
    examples = [(key, IMAGE, kind(TRUTH), kind(GUESS)) for key in ("a", "b")]
    page = write_report(tmp_path / "r.html", title="t", command="c", result=result, examples=examples).read_text()
    for word in (*words, "Worst images", f"{result.score:.3f}"):
        assert word in page
    assert len(re.findall("<img", page)) == 8
    assert "<sky>" not in page, "names are escaped"


def test_a_refused_score_still_shows_pictures(tmp_path):
    refused = ScoreRefused("No score is given.", "one", "one", "val")
    page = write_report(
        tmp_path / "r.html", title="t", command="c", result=refused, examples=[("a", IMAGE, objects(TRUTH), objects(GUESS))]
    ).read_text()
    assert "The score was refused" in page
    assert "1 of 2 objects found, 1 invented" in page
