"""Every format that can be written: what is read back is what was drawn, of every kind that it takes, of 8 and 300 classes."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intarsia.core import ClassSpace, Instances, LabelMap, Panoptic, Segment
from intarsia.data.convert import convert_set, target_formats, target_kinds
from intarsia.data.datasets import open_dataset
from intarsia.data.datasets.annotations import annotated_of
from intarsia.data.formats import write_image
from intarsia.data.formats._annotated import Annotated, AnnotatedSet
from intarsia.data.formats._set_views import viewed

SIZES = ((1, 1), (1, 8), (6, 5), (9, 9))
KEYS = ("a", "deep/b")


def class_space(count):
    """The first half are stuff, the others things; the names are no numbers and stand in no alphabetical order."""
    names = [f"class {(7 * n) % 1000:03}" for n in range(count)]
    return ClassSpace.from_names(names, things=names[count // 2 :])


@st.composite
def drawn(draw, kind, count):
    """Four numbers in random pixels, and a class for each: pieces with holes, of one pixel, of several parts, at borders."""
    numbers = draw(arrays(np.uint8, draw(st.sampled_from(SIZES)), elements=st.integers(0, 4)))
    least = count // 2 if kind == "instance" else 0
    return numbers, draw(st.lists(st.integers(least, count - 1), min_size=4, max_size=4, unique=kind == "panoptic"))


def truth_of(kind, classes, numbers, class_of):
    present = [int(n) for n in np.unique(numbers) if n]
    if kind == "semantic":
        return LabelMap(np.array([classes.ignore_id, *class_of], classes.id_dtype)[numbers], classes)
    if kind == "panoptic":
        return Panoptic(numbers.astype(np.int32), tuple(Segment(n, class_of[n - 1]) for n in present), classes)
    return Instances.from_ids(numbers, classes, {n: class_of[n - 1] for n in present})


def pieces(truth):
    """How often each mask of each class, by name, occurs."""
    names = truth.classes.names
    if isinstance(truth, Instances):
        return Counter((names[c], truth.masks.mask(n).tobytes()) for n, c in enumerate(truth.class_id))
    if isinstance(truth, Panoptic):
        return Counter((names[s.class_id], (truth.ids == s.id).tobytes()) for s in truth.segments)
    return Counter((names[c], (truth.ids == c).tobytes()) for c in np.unique(truth.ids) if c != truth.classes.ignore_id)


CASES = [(to, kind, 8) for to in target_formats() for kind in target_kinds(to)]
CASES += [(to, kind, 300) for to, kind, _ in CASES if to != "palette"]  # which has 256 entries, as its own test says


@pytest.mark.parametrize(("to", "kind", "count"), CASES)
def test_what_is_read_back_is_what_was_drawn(to, kind, count):
    classes = class_space(count)

    @settings(max_examples=8 if count == 8 else 3, deadline=None, database=None)
    @given(st.tuples(drawn(kind, count), drawn(kind, count)))
    def check(pictures):
        assume(pictures[0][0].any())  # without any object some formats know no class
        truths = [truth_of(kind, classes, *picture) for picture in pictures]
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            images = {key: root / "src" / f"{key}.png" for key in KEYS}
            of_key = {key: Annotated(key, truth) for key, truth in zip(KEYS, truths, strict=True)}
            for key, path in images.items():
                write_image(path, np.zeros((*of_key[key].size_hw, 3), np.uint8))
            source = AnnotatedSet("drawn", kind, classes, KEYS, of_key.__getitem__, images)
            convert_set(source, root / "out", to, compare=0)
            found = viewed(annotated_of(open_dataset(root / "out", view=kind)), kind)
            for key, truth in zip(KEYS, truths, strict=True):
                back = found.read(next(k for k in found.keys if k.endswith(key))).truth
                assert back.size_hw == truth.size_hw
                assert pieces(back) == pieces(truth)

    check()
