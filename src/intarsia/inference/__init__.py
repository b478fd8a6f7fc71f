"""Networks as predictors, and the file that holds one."""

from intarsia.inference.model_file import ModelCard, initialise, read_model, read_model_card, write_model
from intarsia.inference.network import SemanticNetwork, choose_device, load

__all__ = ["ModelCard", "SemanticNetwork", "choose_device", "initialise", "load", "read_model", "read_model_card", "write_model"]
