"""Training on Lightning; no other room knows it."""

from intarsia.training.checkpoints import read_history
from intarsia.training.fit import Machine, StageResult, TrainingInterrupted, train_stage

__all__ = ["Machine", "StageResult", "TrainingInterrupted", "read_history", "train_stage"]
