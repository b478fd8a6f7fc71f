"""A predictor over a data set: scores with intervals, tables, and the report."""

from intarsia.evaluation.evaluate import evaluate
from intarsia.evaluation.evaluation import Evaluation, ImageScore, ScoreRefused
from intarsia.evaluation.gallery import keys_to_show
from intarsia.evaluation.report import write_report
from intarsia.evaluation.table import ClassRow, class_rows

__all__ = ["ClassRow", "Evaluation", "ImageScore", "ScoreRefused", "class_rows", "evaluate", "keys_to_show", "write_report"]
