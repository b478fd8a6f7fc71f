"""What every architecture must do, checked on its `TINY` version. A new file in the catalogue is covered without a line here."""

import copy
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.core import Output
from intarsia.models import SEMANTIC, ModelSpec, create_model, describe_model, spec_of

CLASSES = 4
NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


def tiny(name: str, **others: Any) -> nn.Module:
    torch.manual_seed(0)
    arguments = {"num_classes": CLASSES, **SEMANTIC.load(name).TINY, **others}
    return create_model(name, **arguments)


@pytest.fixture(scope="module", params=SEMANTIC.names)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> nn.Module:
    """In evaluation mode, with no score that is zero by construction; shared by the tests that leave it as it is."""
    made = tiny(name)
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        made.train()(torch.rand(4, 3, 64, 64))  # running statistics
        made.eval()
        assert made(torch.rand(1, 3, 64, 64)).logits.std() > 1e-4
    return made


def loss_of(output: Output, label: Tensor) -> Tensor:
    """Cross-entropy on the scores, and something that reaches every value of the auxiliary heads."""
    loss = F.cross_entropy(output.logits, label)
    for head in output.auxiliary:
        loss = loss + head.weight * (head.logits.float().square().mean() + head.logits.float().mean())
    return loss


def test_docstring_has_its_parts(name: str) -> None:
    text = inspect.getdoc(importlib.import_module(f"{SEMANTIC.package}.{name}")) or ""
    summary, citation, *_ = [*text.split("\n\n"), "", ""]
    assert summary.endswith("."), "the first sentence says what it is"
    assert re.search(r"\b(19|20)\d\d\b", citation), "the second paragraph is the citation, with its year"
    for part in ("\nIdea:", "\nSource:", "\nDeviations:"):
        assert part in text, f"the docstring lacks {part.strip()}"
    assert re.search(r"^ {4}.*->", text, re.MULTILINE), "an indented diagram shows the shapes"
    assert inspect.getdoc(SEMANTIC.load(name)), "the class says what its arguments are"


def test_arguments_are_explicit_and_described(name: str) -> None:
    kind, about = SEMANTIC.load(name), describe_model(name)
    arguments = dict(inspect.signature(kind).parameters)
    assert all(argument.kind is argument.KEYWORD_ONLY for argument in arguments.values())
    assert all(argument.annotation is not argument.empty for argument in arguments.values())
    assert arguments.pop("num_classes").default is inspect.Parameter.empty
    assert ("encoder" in arguments) != ("in_channels" in arguments), "an encoder, or an own trunk that takes any channels"
    assert (about["encoder"] is not None) == ("encoder" in arguments), "ENCODER names the encoder it takes when none is named"
    assert (about["output_stride"] is not None) == ("encoder" in arguments), "and OUTPUT_STRIDE its output stride"
    options = {key: argument.default for key, argument in arguments.items() if key not in ("encoder", "in_channels")}
    assert options == about["options"]


def test_tiny_is_small(name: str) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in tiny(name).parameters()) < 1_000_000


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 47), (32, 32), (7, 40), (1, 1)])
def test_the_answer_has_the_size_of_the_image(network: nn.Module, size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = network(torch.rand(2, 3, *size))
    assert isinstance(output, Output)
    assert output.logits.shape == (2, CLASSES, *size)
    assert output.logits.isfinite().all()


@pytest.mark.parametrize(("classes", "channels"), [(1, 3), (CLASSES, 1), (2, 5)])
def test_any_number_of_classes_and_channels(name: str, classes: int, channels: int) -> None:
    network = tiny(name, num_classes=classes, in_channels=channels).eval()
    with torch.no_grad():
        assert network(torch.rand(1, channels, 33, 47)).logits.shape == (1, classes, 33, 47)


def other_options(name: str) -> Iterator[dict[str, Any]]:
    """Every value of the options that have only a few, one at a time."""
    annotations = inspect.get_annotations(SEMANTIC.load(name).__init__, eval_str=True)
    for option, default in describe_model(name)["options"].items():
        kinds = [annotations[option], *get_args(annotations[option])]
        choices = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
        assert tuple(choices) == describe_model(name)["choices"].get(option, ())
        choices = [True, False] if isinstance(default, bool) else choices
        yield from ({option: value} for value in choices if value != default)


def test_every_choice_of_an_option_works(name: str) -> None:
    for options in other_options(name):
        network = tiny(name, **options).train()
        logits = network(torch.rand(2, 3, 40, 56)).logits
        assert logits.shape == (2, CLASSES, 40, 56), options
        logits.square().mean().backward()


def test_every_gradient_flows(name: str) -> None:
    network = tiny(name).train()
    normalised = any(isinstance(module, NORMALISATIONS) for module in network.modules())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    image, label = torch.randn(4, 3, 48, 48), torch.randint(CLASSES, (4, 48, 48))
    waiting = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    for step in range(3):
        optimizer.zero_grad()
        loss_of(network(image), label).backward()
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


def test_images_of_a_batch_do_not_see_each_other(network: nn.Module) -> None:
    """To rounding, which grows with the scores and all but vanishes in float64."""
    batch = torch.rand(3, 3, 40, 56)
    for precision, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-12)):
        made, images = copy.deepcopy(network).to(precision), batch.to(precision)
        with torch.no_grad():
            together, alone = made(images).logits, made(images[1:2]).logits
        assert (together[1:2] - alone).abs().max() <= tolerance * alone.std()


def test_made_again_from_its_spec(network: nn.Module) -> None:
    again = ModelSpec.from_dict(spec_of(network).to_dict()).build()
    assert spec_of(again) == spec_of(network)
    assert not again.load_state_dict(network.state_dict()).missing_keys
    image = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        assert torch.equal(again.eval()(image).logits, network(image).logits)
        assert torch.equal(copy.deepcopy(network)(image).logits, network(image).logits)


def test_memory_layout_and_precision_do_not_matter(network: nn.Module) -> None:
    image = torch.rand(2, 3, 48, 40)
    with torch.no_grad():
        expected = network(image).logits
        across = copy.deepcopy(network).to(memory_format=torch.channels_last)
        torch.testing.assert_close(across(image.to(memory_format=torch.channels_last)).logits, expected, rtol=1e-4, atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(image).logits.float()
        assert (rough - expected).abs().mean() <= 0.1 * expected.abs().mean() + 1e-6
        torch.testing.assert_close(copy.deepcopy(network).double()(image.double()).logits.float(), expected, rtol=1e-3, atol=1e-3)


def test_export_gives_the_same_scores(network: nn.Module) -> None:
    image = torch.rand(1, 3, 48, 40)
    program = torch.export.export(network, (image,), strict=False).module()
    with torch.no_grad():
        output = program(image)
        assert isinstance(output, Output)
        torch.testing.assert_close(output.logits, network(image).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_learns_four_images(name: str) -> None:
    """Discs, squares and bars of noise on noise: shape and texture tell them apart, not colour alone."""
    generator = torch.Generator().manual_seed(0)
    image, label = torch.randn(4, 3, 64, 64, generator=generator), torch.zeros(4, 64, 64, dtype=torch.int64)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    for index in range(4):
        label[index][(rows - 18).square() + (columns - 14 - 4 * index).square() < 120] = 1
        label[index][36:58, 4 + 6 * index : 26 + 6 * index] = 2
        label[index][8:52, 44 + 4 * index : 52 + 4 * index] = 3
    image += torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])[label].movedim(-1, 1)
    network = tiny(name).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss_of(network(image), label).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (network.eval()(image).logits.argmax(1) == label).float().mean().item()
    assert accuracy > 0.9
