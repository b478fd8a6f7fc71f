"""models: what there is to train."""

from __future__ import annotations

from intarsia.models import SEMANTIC, ModelDescription, describe_model

__all__ = ["describe", "list_models"]


def list_models() -> list[ModelDescription]:
    """Every architecture, as `describe` says it."""
    return [describe(name) for name in SEMANTIC.names]


def describe(name: str) -> ModelDescription:
    """What the architecture called `name` is, and its options with their defaults.

    Raises:
        UnknownNameError: with the nearest names.
    """
    return describe_model(name)
