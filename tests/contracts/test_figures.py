"""The figures that `intarsia models` prints are those of the code: they are counted again here."""

import pytest

from intarsia.models import FIGURES_CLASSES, FIGURES_SIZE_HW, SEMANTIC, ModelSpec, describe_model
from intarsia.models.figures import count_layers, figures

AGAIN = "count again: python benchmarks/figures.py"


@pytest.mark.parametrize("name", SEMANTIC.names)
def test_stored_counts_are_right(name: str) -> None:
    stored = describe_model(name)["figures"]
    assert stored is not None, AGAIN
    whole = count_layers(ModelSpec(name, FIGURES_CLASSES), FIGURES_SIZE_HW)[0]
    assert (stored["parameters"], stored["flops"]) == (whole["parameters"], whole["flops"]), AGAIN


@pytest.mark.slow
@pytest.mark.parametrize("name", SEMANTIC.names)
def test_stored_strides_and_fields_are_right(name: str) -> None:
    found, _ = figures(ModelSpec(name, FIGURES_CLASSES), FIGURES_SIZE_HW)
    assert describe_model(name)["figures"] == found, AGAIN
