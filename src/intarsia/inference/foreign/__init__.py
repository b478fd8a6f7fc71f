"""Weights of other libraries in our networks.

A file for each library says, for each of its networks, which of ours with which options computes the same, and under which names
the tensors stand in a checkpoint. Nothing of those libraries is imported, and no pickled code is run.
"""

from intarsia.inference.foreign._checkpoint import read_checkpoint
from intarsia.inference.foreign._convert import SOURCES, Converted, convert
from intarsia.inference.foreign._foreign import Wishes

__all__ = ["SOURCES", "Converted", "Wishes", "convert", "read_checkpoint"]
