"""A predictor over a data set: scores with intervals, tables, and the report."""

from intarsia.evaluation.evaluate import Evaluation, ImageScore, evaluate
from intarsia.evaluation.report import write_report
from intarsia.evaluation.table import ClassRow, class_rows

__all__ = ["ClassRow", "Evaluation", "ImageScore", "class_rows", "evaluate", "write_report"]
