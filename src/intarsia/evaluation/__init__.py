"""A predictor over a data set: scores with intervals, tables, and the report."""

from intarsia.evaluation.evaluate import evaluate
from intarsia.evaluation.evaluation import Evaluation, ImageScore, ScoreRefused
from intarsia.evaluation.gallery import keys_to_show
from intarsia.evaluation.object_evaluation import ObjectClassRow, ObjectEvaluation, object_rows
from intarsia.evaluation.report import write_report
from intarsia.evaluation.simulated_hints import Guided, predict_sample, simulate_hints
from intarsia.evaluation.table import ClassRow, class_rows

__all__ = [
    "ClassRow",
    "Evaluation",
    "Guided",
    "ImageScore",
    "ObjectClassRow",
    "ObjectEvaluation",
    "ScoreRefused",
    "class_rows",
    "evaluate",
    "keys_to_show",
    "object_rows",
    "predict_sample",
    "simulate_hints",
    "write_report",
]
