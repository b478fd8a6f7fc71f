"""Metrics: one file each, observe -> evidence, which merges -> scores. Neither torch nor, before the first count, numba."""

from intarsia.core import Catalog
from intarsia.metrics._bootstrap import Intervals, bootstrap

__all__ = ["METRICS", "Intervals", "bootstrap"]

METRICS = Catalog("metric", "intarsia.metrics")
