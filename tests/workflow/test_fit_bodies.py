"""A depth forest goes the way of every model, from a generated data set to joints."""

import numpy as np
from PIL import Image

import intarsia
from intarsia.data.datasets.bodies import Bodies
from intarsia.data.formats import read_mask
from intarsia.postprocess.joints import JointFinder, back_project

SMALL = {"trees": 2, "depth": 8, "candidates": 40, "reach": 33.0}


def test_bodies_are_trained_on_saved_and_found_again(tmp_path, quiet) -> None:
    source = "bodies:train=16,val=3,test=1,size=60x80,turn=20"
    done = intarsia.train(source, model="depth_forest", options=SMALL, out=tmp_path / "run", console=quiet)
    assert done.evaluation.predictor == "depth_forest"
    assert done.evaluation.scores.pixel_accuracy > 0.95
    assert any("Out of bag" in note for note in done.evaluation.notes)

    data = Bodies(train=16, val=3, test=1, size_hw=(60, 80), turn=20)
    body = data.body("test/0000")
    Image.fromarray(body.depth_mm).save(tmp_path / "depth.png")
    intarsia.predict([tmp_path / "depth.png"], model=done.best, out=tmp_path / "out")
    model = intarsia.load(done.best)
    found = model.predict(body.depth_mm)
    mask = read_mask(tmp_path / "out" / "masks" / "depth.png", model.classes)
    assert np.array_equal(mask.ids, found.ids)
    assert np.array_equal(found.ids > 0, body.depth_mm > 0)

    places, prob = model.fitted.posterior(body.depth_mm)
    finder = JointFinder.published(data.parts_of_joint)
    (head, *_) = finder.find(back_project(body.depth_mm, places, data.focal_px), prob)
    assert np.linalg.norm(head.places_m[0] - body.joints_m[data.joints.index("head")]) < 0.15
