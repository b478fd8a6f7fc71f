"""models: what there is to train."""

from __future__ import annotations

from typing import Any

from intarsia.models import SEMANTIC, describe_model

__all__ = ["describe", "list_models"]


def list_models() -> list[dict[str, Any]]:
    """Every architecture, as `describe` says it."""
    return [describe(name) for name in SEMANTIC.names]


def describe(name: str) -> dict[str, Any]:
    """Name, one-line summary, default encoder (None if it has its own trunk) and options with defaults.

    Raises:
        UnknownNameError: with the nearest names.
    """
    return describe_model(name)
