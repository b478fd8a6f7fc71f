"""Metrics: one file each, observe -> evidence, which merges -> scores. Neither torch nor, before the first count, numba."""

from intarsia.core import Catalog
from intarsia.metrics._bootstrap import Intervals, bootstrap
from intarsia.metrics._paired import PairedTest, paired_test
from intarsia.metrics._scores import RowScores

__all__ = ["METRICS", "Intervals", "PairedTest", "RowScores", "bootstrap", "paired_test"]

METRICS = Catalog("metric", "intarsia.metrics")
