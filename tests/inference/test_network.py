import numpy as np
import pytest
import torch
from PIL import Image

import intarsia
from intarsia.core import ClassSpace, DataError, LabelMap, Predictor, SettingsError
from intarsia.data.formats import write_image
from intarsia.data.preprocessing import Preprocessing
from intarsia.inference import ModelCard, SemanticNetwork, choose_device, load, write_model
from intarsia.models import ModelSpec

SPACE = ClassSpace.from_names(["sky", "car", "person"])


def network(fit_hw=None, channels=3) -> SemanticNetwork:
    torch.manual_seed(0)
    spec = ModelSpec("unet", num_classes=3, in_channels=channels, options={"width": 4, "depth": 2})
    return SemanticNetwork(spec.build(), ModelCard(spec, SPACE, Preprocessing((0.4,) * channels, (0.2,) * channels, fit_hw)))


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def test_path_array_and_picture_give_the_same_map(photo, tmp_path):
    predictor = network()
    path = write_image(tmp_path / "photo.png", photo)
    by_array = predictor(photo)
    assert isinstance(predictor, Predictor)
    assert isinstance(by_array, LabelMap)
    assert by_array.size_hw == (37, 53)
    assert by_array.ids.dtype == np.uint8
    for given in (path, str(path), Image.fromarray(photo)):
        assert np.array_equal(predictor(given).ids, by_array.ids)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_picture_is_seen_as_its_file_is(mode, photo, tmp_path):
    """A PIL image in memory gives what the same picture gives when it is read from a file that holds it."""
    picture = Image.fromarray(photo).convert("PA" if mode == "PA" else "L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    path = tmp_path / ("picture.png" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "picture.tif")
    if mode == "PA":  # no file type holds it
        assert np.array_equal(network()(picture).ids, network()(np.asarray(picture.convert("RGBA"))).ids)
        return
    picture.save(path)
    assert np.array_equal(network()(picture).ids, network()(path).ids)


def test_the_decision_is_the_largest_of_the_enlarged_scores(photo):
    """Fitted to a smaller box: scores are enlarged to the photo's size before the decision, not ids after it."""
    predictor = network(fit_hw=(16, 24))
    small = predictor.preprocessing.fit(photo)
    assert small.shape == (16, 23, 3)
    logits = predictor.model(torch.from_numpy(predictor.preprocessing.normalize(small))[None]).logits
    large = torch.nn.functional.interpolate(logits, (37, 53), mode="bilinear", align_corners=False)
    assert np.array_equal(predictor(photo).ids, large.argmax(1)[0].numpy())


def test_probabilities_come_when_asked_for(photo):
    result = network()(photo, prob=True)
    assert result.prob.shape == (3, 37, 53)
    assert np.allclose(result.prob.sum(0), 1, atol=1e-5)
    assert np.array_equal(result.prob.argmax(0), result.ids)
    assert network()(photo).prob is None


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (31, 7)])
def test_any_size_in_the_same_size_out(size):
    image = np.zeros((*size, 3), np.uint8)
    assert network()(image).size_hw == size
    assert network(fit_hw=(20, 20))(image).size_hw == size


def test_grey_and_alpha_images_go_through_a_color_network(photo):
    predictor = network()
    assert predictor(photo[..., 0]).size_hw == (37, 53)
    assert np.array_equal(predictor(np.dstack([photo, photo[..., :1]])).ids, predictor(photo).ids)
    with pytest.raises(DataError, match="image has 6 channels and the network was made for 3"):
        predictor(np.dstack([photo, photo]))


def test_a_loaded_file_predicts_as_the_network_that_was_saved(photo, tmp_path):
    predictor = network(fit_hw=(20, 30))
    path = write_model(tmp_path / "best.safetensors", predictor.model, predictor.card)
    again = load(path)
    assert again.name == "unet"
    assert again.classes == SPACE
    assert np.array_equal(again(photo).ids, predictor(photo).ids)
    assert isinstance(again.model, torch.nn.Module)
    assert intarsia.load is load
    assert np.array_equal(load(tmp_path)(photo).ids, predictor(photo).ids), "the folder of a run means its best"


def test_a_result_is_drawn_over_the_file_it_came_from(photo, tmp_path):
    path = write_image(tmp_path / "photo.png", photo)
    mask = network()(path)
    assert np.array_equal(mask.overlay(path), mask.overlay(photo))
    assert np.array_equal(mask.overlay(str(path)), mask.overlay(photo))


def test_things_that_are_no_image_or_device_are_refused():
    with pytest.raises(DataError, match="A list is not an image"):
        network()([[1, 2]])
    with pytest.raises(SettingsError, match="The device 'abacus' cannot be used here"):
        choose_device("abacus")
