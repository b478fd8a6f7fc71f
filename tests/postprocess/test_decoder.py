import numpy as np
import pytest

from intarsia.core import SettingsError, UnknownNameError
from intarsia.postprocess import create_decoder, decoder_options


def test_options_are_those_that_a_user_can_set():
    assert decoder_options("paste_masks") == {"min_score": 0.0, "mask_threshold": 0.5, "max_objects": 1000}
    assert set(decoder_options("panoptic_merge")) == {"min_score", "max_overlap", "min_stuff_area", "mask_threshold"}


def test_a_decoder_keeps_the_options_it_was_made_with():
    detections = {
        "boxes_xyxy": np.array([[0.0, 0, 4, 4], [0, 0, 2, 2]]),
        "class_index": np.array([0, 0]),
        "score": np.array([0.9, 0.4]),
        "mask_logits": np.full((2, 3, 3), 9.0),
    }
    for options, count in (({}, 2), ({"min_score": 0.5}, 1), ({"min_score": 1}, 0)):
        masks, _, _ = create_decoder("paste_masks", options)(np.zeros(0), detections, (4, 4))
        assert len(masks) == count


def test_what_it_does_not_know_is_said():
    with pytest.raises(SettingsError, match=r"no option 'minscore'. Did you mean 'min_score'.*mask_threshold=0.5"):
        create_decoder("paste_masks", {"minscore": 0.5})
    with pytest.raises(SettingsError, match=r"no option 'scale_yx'"):
        create_decoder("paste_masks", {"scale_yx": 2})
    with pytest.raises(SettingsError, match=r"min_score of paste_masks is of type float, as 0.0; 'high' was given"):
        create_decoder("paste_masks", {"min_score": "high"})
    with pytest.raises(SettingsError, match=r"mask_threshold of paste_masks is 4; it lies from 0 to 1, such as 0\.5"):
        create_decoder("paste_masks", {"mask_threshold": 4})
    with pytest.raises(SettingsError, match=r"max_overlap of panoptic_merge is -0\.5"):
        create_decoder("panoptic_merge", {"max_overlap": -0.5})
    with pytest.raises(UnknownNameError, match=r"There is no decoder called 'paste'.*paste_masks"):
        create_decoder("paste")
