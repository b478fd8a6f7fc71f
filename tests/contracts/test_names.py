"""One name means one thing, so that a name on the command line needs no prefix."""

from collections import Counter

from intarsia.classical import CLASSICAL
from intarsia.data.datasets import DATASETS
from intarsia.losses import LOSSES
from intarsia.metrics import METRICS
from intarsia.models import NETWORKS

CATALOGUES = [*NETWORKS.values(), CLASSICAL, DATASETS, LOSSES, METRICS]


def test_no_name_stands_in_two_catalogues():
    count = Counter(name for catalogue in CATALOGUES for name in catalogue.names)
    assert [name for name, times in count.items() if times > 1] == []


def test_every_entry_can_be_loaded_and_lists_its_public_thing_first():
    for catalogue in CATALOGUES:
        assert len(catalogue) > 0
        for name in catalogue.names:
            module = catalogue.module(name)
            assert module.__doc__, f"{module.__name__} does not say what it is"
            assert catalogue.load(name).__name__ == (name if name in module.__all__ else module.__all__[0])
