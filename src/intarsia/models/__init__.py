"""Networks: one file per architecture in `semantic`, blocks that several share in `parts`. Torch is imported when one is made."""

from intarsia.models._description import SEMANTIC, ModelDescription, describe_model
from intarsia.models._spec import ModelSpec, create_model, spec_of

__all__ = ["SEMANTIC", "ModelDescription", "ModelSpec", "create_model", "describe_model", "spec_of"]
