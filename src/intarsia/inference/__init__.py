"""Networks and fitted methods as predictors, and the file that holds one."""

from intarsia.inference.method_file import FittedMethod, MethodCard, read_method, write_method
from intarsia.inference.model_file import ModelCard, initialise, read_model, read_model_card, write_model
from intarsia.inference.network import SemanticNetwork, choose_device, load
from intarsia.inference.objects import InstanceNetwork, PanopticNetwork

__all__ = [
    "FittedMethod",
    "InstanceNetwork",
    "MethodCard",
    "ModelCard",
    "PanopticNetwork",
    "SemanticNetwork",
    "choose_device",
    "initialise",
    "load",
    "read_method",
    "read_model",
    "read_model_card",
    "write_method",
    "write_model",
]
