"""Networks as files that run elsewhere, compared with the network on images before anybody gets them."""

from intarsia.exporting.graph import TARGETS, export_graph
from intarsia.exporting.parity import LEAST_AGREEMENT, Parity, compare

__all__ = ["LEAST_AGREEMENT", "TARGETS", "Parity", "compare", "export_graph"]
