"""Training on Lightning; no other room knows it."""

from intarsia.training.checkpoints import read_history
from intarsia.training.fit import StageResult, train_stage
from intarsia.training.interrupt import TrainingInterrupted, TrainingStopped
from intarsia.training.machine import Machine, leave_processes

__all__ = [
    "Machine",
    "StageResult",
    "TrainingInterrupted",
    "TrainingStopped",
    "leave_processes",
    "read_history",
    "train_stage",
]
