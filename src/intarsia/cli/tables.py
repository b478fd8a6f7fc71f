"""Results as tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from intarsia.evaluation import Evaluation

__all__ = ["print_evaluation"]


def print_evaluation(console: Console, evaluation: Evaluation) -> None:
    """The per-class table, the pooled scores, and the notes."""
