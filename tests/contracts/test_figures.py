"""The figures that `intarsia models` prints are those of the code: they are counted again here."""

import pytest

from intarsia.models import FIGURES_SIZE_HW, NETWORKS, describe_model, spec_to_count
from intarsia.models.figures import count_layers, figures

NAMES = [name for catalog in NETWORKS.values() for name in catalog.names]
AGAIN = "count again: python benchmarks/figures.py"


@pytest.mark.parametrize("name", NAMES)
def test_stored_counts_are_right(name: str) -> None:
    stored = describe_model(name)["figures"]
    assert stored is not None, AGAIN
    whole = count_layers(spec_to_count(name), FIGURES_SIZE_HW)[0]
    assert (stored["parameters"], stored["flops"]) == (whole["parameters"], whole["flops"]), AGAIN


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_stored_strides_and_fields_are_right(name: str) -> None:
    found, _ = figures(spec_to_count(name), FIGURES_SIZE_HW)
    assert describe_model(name)["figures"] == found, AGAIN
