"""What every instance and panoptic network must do, checked on its `TINY` version. A new file is covered without a line here."""

import copy
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from intarsia.core import Array, Batch, ClassSpace, InstanceMasks, Instances, Output, Panoptic, Segment, thing_ids_of
from intarsia.data.collate import PreparedSample, collate
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.targets import TARGETS, make_targets
from intarsia.inference import ModelCard, load, write_model
from intarsia.losses import object_loss
from intarsia.models import INSTANCE, PANOPTIC, ModelSpec, create_model, describe_model, network_catalog, spec_of
from intarsia.postprocess import create_decoder, decoder_options

NAMES = (*INSTANCE.names, *PANOPTIC.names)
SPACE = ClassSpace.from_names(["sky", "square", "grass", "disc", "bar"], things=["square", "disc", "bar"])
ONE = ClassSpace.from_names(["ground", "square"], things=["square"])
NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


def tiny(name: str, classes: ClassSpace = SPACE, **others: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, classes=classes, **{**network_catalog(name)[1].load(name).TINY, **others})


def picture(size: tuple[int, int], seed: int, classes: ClassSpace, *, empty: bool) -> tuple[Array, Instances, Panoptic]:
    """Touching objects of all classes of things in front of stuff, and noise; the image tells what is what."""
    rng = np.random.default_rng(seed)
    height, width = size
    ids, segments = np.ones(size, np.int32), [Segment(1, 0)]
    if len(classes) > 2:
        ids[height // 2 :] = 2
        segments.append(Segment(2, 2))
    things = () if empty else classes.thing_ids * (3 // len(classes.thing_ids))
    for index, class_id in enumerate(things):
        side, left = height // 3, 2 + index * (width // 3)
        top = int(rng.integers(1, height - side))
        ids[top : top + side, left : left + width // 3] = 10 + index
        segments.append(Segment(10 + index, class_id))
    listed = [segment for segment in segments if (ids == segment.id).any()]
    panoptic = Panoptic(ids, tuple(listed), classes)
    image = rng.normal(0, 0.3, (3, *size)).astype(np.float32) + (ids[None] * np.array([[[0.3]], [[-0.2]], [[0.1]]])) % 2 - 1
    return image.astype(np.float32), panoptic.to_instances(), panoptic


def batch_of(
    name: str, classes: ClassSpace = SPACE, size: tuple[int, int] = (64, 64), empty: tuple[bool, ...] = (False, True)
) -> Batch:
    task, catalog = network_catalog(name)
    samples = []
    for seed, without in enumerate(empty):
        image, instances, panoptic = picture(size, seed, classes, empty=without)
        truth = instances if task == "instance" else panoptic
        targets = make_targets(catalog.load(name).TARGETS, truth)
        samples.append(PreparedSample(image, None, f"{seed}", size, targets, truth))
    return collate(samples)


def loss_of(name: str, output: Output, batch: Batch) -> Tensor:
    terms = object_loss(network_catalog(name)[1].load(name).LOSS)(output, batch.targets or {})
    assert all(value.ndim == 0 and value.isfinite() for value in terms.values()), terms
    return torch.stack(list(terms.values())).sum()


def decoded(name: str, output: Output, number: int, size: tuple[int, int], classes: ClassSpace) -> Instances | Panoptic:
    """What the decoder makes of an image of the batch; the types check themselves."""
    from intarsia.inference.objects import arrays_of_image

    logits, parts = arrays_of_image(output, number)
    task, catalog = network_catalog(name)
    decode = create_decoder(catalog.load(name).DECODER)
    if task == "panoptic":
        ids, segments = decode(logits, parts, size, thing_ids=thing_ids_of(classes), num_classes=len(classes))
        return Panoptic(ids, tuple(segments), classes)
    masks, class_index, score = decode(logits, parts, size)
    assert isinstance(masks, InstanceMasks)
    assert ((score >= 0) & (score <= 1)).all()
    return Instances(masks, np.array(thing_ids_of(classes))[class_index], classes, score)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def trained(name: str) -> nn.Module:
    """After a few steps, in evaluation mode; shared by the tests that leave it as it is."""
    network, batch = tiny(name).train(), batch_of(name)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(name, network(batch.image, batch.targets), batch).backward()
        optimizer.step()
    return network.eval()


def test_docstring_has_its_parts(name: str) -> None:
    catalog = network_catalog(name)[1]
    text = inspect.getdoc(importlib.import_module(f"{catalog.package}.{name}")) or ""
    summary, citation, *_ = [*text.split("\n\n"), "", ""]
    assert summary.endswith("."), "the first sentence says what it is"
    assert re.search(r"\b(19|20)\d\d\b", citation), "the second paragraph is the citation, with its year"
    for part in ("\nIdea:", "\nSource:", "\nDeviations:"):
        assert part in text, f"the docstring lacks {part.strip()}"
    assert re.search(r"^ {4}.*->", text, re.MULTILINE), "an indented diagram shows the shapes"
    assert inspect.getdoc(catalog.load(name)), "the class says what its arguments are"


def test_arguments_are_explicit_and_described(name: str) -> None:
    task, catalog = network_catalog(name)
    kind, about = catalog.load(name), describe_model(name)
    arguments = dict(inspect.signature(kind).parameters)
    assert all(argument.kind is argument.KEYWORD_ONLY for argument in arguments.values())
    assert all(argument.annotation is not argument.empty for argument in arguments.values())
    assert arguments.pop("num_classes").default is inspect.Parameter.empty
    assert ("thing_ids" in arguments) == (task == "panoptic")
    assert ("encoder" in arguments) != ("in_channels" in arguments), "an encoder, or an own trunk that takes any channels"
    assert (about["encoder"] is not None) == ("encoder" in arguments), "ENCODER names the encoder it takes when none is named"
    options = {k: a.default for k, a in arguments.items() if k not in ("encoder", "in_channels", "thing_ids")}
    assert options == about["options"]
    assert list(inspect.signature(kind.forward).parameters) == ["self", "image", "targets"]


def test_it_says_what_it_learns_from_and_how_it_is_decoded(name: str) -> None:
    kind = network_catalog(name)[1].load(name)
    assert isinstance(kind.TARGETS, tuple)
    assert set(kind.TARGETS) <= set(TARGETS.names)
    assert callable(object_loss(kind.LOSS))
    assert isinstance(decoder_options(kind.DECODER), dict)


def test_tiny_is_small(name: str) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in tiny(name).parameters()) < 1_000_000


@pytest.mark.parametrize("classes", [ONE, SPACE], ids=["one class", "three classes"])
@pytest.mark.parametrize("size", [(64, 64), (47, 65)])
def test_it_trains_and_answers_at_any_size_with_and_without_objects(
    name: str, classes: ClassSpace, size: tuple[int, int]
) -> None:
    network, batch = tiny(name, classes), batch_of(name, classes, size)
    nothing = batch_of(name, classes, size, (True, True))
    for given in (batch, nothing):
        loss = loss_of(name, network.train()(given.image, given.targets), given)
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
        with torch.no_grad():
            output = network.eval()(given.image, given.targets)
        assert isinstance(output, Output)
        for number in range(2):
            assert decoded(name, output, number, size, classes).size_hw == size


def test_other_channels(name: str) -> None:
    network = tiny(name, in_channels=5).eval()
    with torch.no_grad():
        output = network(torch.rand(1, 5, 40, 48), batch_of(name, size=(40, 48), empty=(False,)).targets)
    assert decoded(name, output, 0, (40, 48), SPACE).size_hw == (40, 48)


def test_every_gradient_flows(name: str) -> None:
    network = tiny(name).train()
    normalised = any(isinstance(module, NORMALISATIONS) for module in network.modules())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    batch = batch_of(name, empty=(False, False, True))
    waiting = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    for step in range(3):
        optimizer.zero_grad()
        loss_of(name, network(batch.image, batch.targets), batch).backward()
        for key, parameter in network.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, f"{key} has no gradient in step {step}"
                assert parameter.grad.isfinite().all(), f"the gradient of {key} is not finite in step {step}"
                if parameter.grad.any():
                    waiting.discard(key)
        optimizer.step()
    if normalised:  # a bias that feeds a normalisation is taken out again with the mean
        waiting = {key for key in waiting if not key.endswith("bias")}
    assert not waiting, f"no gradient in three steps: {sorted(waiting)}"


def test_images_of_a_batch_do_not_see_each_other(name: str) -> None:
    """Maps are the same alone and beside another image, to rounding in float64, and so are objects."""
    network, batch = copy.deepcopy(trained(name)).double(), batch_of(name, empty=(False, False))
    alone = batch_of(name, empty=(False,))
    with torch.no_grad():
        both = network(batch.image.double(), _double(batch))
        one = network(alone.image.double(), _double(alone))
    if one.logits.ndim == 4:
        assert (both.logits[:1] - one.logits).abs().max() <= 1e-10 * one.logits.std()
    _assert_same(decoded(name, both, 0, (64, 64), SPACE), decoded(name, one, 0, (64, 64), SPACE))


def test_made_again_from_its_file(name: str, tmp_path: Path) -> None:
    network = trained(name)
    spec = spec_of(network)
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    card = ModelCard(spec, SPACE, Preprocessing((0.0,) * 3, (1.0,) * 3), network_catalog(name)[0])
    predictor = load(write_model(tmp_path / "best.safetensors", network, card))
    assert predictor.task == card.task
    batch = batch_of(name)
    again, before = predictor.model, network
    assert all(torch.equal(value, before.state_dict()[key]) for key, value in again.state_dict().items())
    with torch.no_grad():
        _assert_same(
            decoded(name, again(batch.image, batch.targets), 0, (64, 64), SPACE),
            decoded(name, before(batch.image, batch.targets), 0, (64, 64), SPACE),
        )


def test_the_loss_computes_in_float32_under_autocast(name: str) -> None:
    network, batch = tiny(name).train(), batch_of(name)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(name, network(batch.image, batch.targets), batch)
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_every_choice_of_an_option_learns(name: str) -> None:
    choices = describe_model(name)["choices"]
    tiny_options = network_catalog(name)[1].load(name).TINY
    for option, values in choices.items():
        for value in values:
            if value in (describe_model(name)["options"][option], tiny_options.get(option)):
                continue
            network, batch = tiny(name, **{option: value}).train(), batch_of(name)
            loss_of(name, network(batch.image, batch.targets), batch).backward()


def _double(batch: Batch) -> dict[str, Tensor]:
    return {key: value.double() if value.is_floating_point() else value for key, value in (batch.targets or {}).items()}


def _assert_same(first: Instances | Panoptic, second: Instances | Panoptic) -> None:
    if isinstance(first, Panoptic):
        assert np.array_equal(first.to_label_map().ids, second.to_label_map().ids)
        return
    assert len(first) == len(second)
    assert np.allclose(first.score, second.score, atol=1e-5)
    assert first.class_id.tolist() == second.class_id.tolist()
    assert np.array_equal(first.masks.bits, second.masks.bits)
