"""The confusion matrix as HTML, and its largest entries in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from intarsia.core import Array
from intarsia.evaluation._html import percent
from intarsia.evaluation.evaluation import Evaluation

__all__ = ["confusion_matrix", "largest_mistake"]

LARGEST_MATRIX = 40
"""Classes; more are told in words only."""
MOST_MISTAKES = 8
LEAST_SHARE = 0.005
"""Of the true class, for a mistake to be named or printed in its cell."""

IN_WORDS = (
    "Each row is a class of the truth and says in percent what its pixels were predicted as. Right is on the diagonal, in blue; "
    "wrong is red. An empty cell is below half a percent."
)


def confusion_matrix(evaluation: Evaluation) -> str:
    """The most frequent mistakes, and a table of at most `LARGEST_MATRIX` classes."""
    counts, names = evaluation.confusion, [*evaluation.classes.names, "void"]
    totals = counts.sum(1)
    said = _frequent(counts / np.maximum(totals, 1)[:, None], names, MOST_MISTAKES)
    words = f"Most frequent mistakes, in percent of the true class: {said}." if said else "Hardly any mistakes."
    if len(evaluation.classes) > LARGEST_MATRIX:
        return f"<p>{words}</p><p class='explain'>The matrix of {len(evaluation.classes)} classes would be too large to read.</p>"
    columns = len(names) if counts[:, -1].any() else len(names) - 1
    heads = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names[:columns])
    rows = []
    for index, name in enumerate(evaluation.classes.names):
        shares = counts[index] / max(1, totals[index])
        cells = [_cell(shares[column], index == column, digits=int(columns < 5)) for column in range(columns)]
        empty = f'<td colspan="{columns}" class="none">not in the truth</td>'
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells) if totals[index] else empty}</tr>')
    cell_rem = min(4.0, max(1.55, 44 / columns))  # as wide as the page allows, and readable with two classes as with forty
    return (
        f'<p>{words}</p><div class="wide" tabindex="0"><table class="matrix{" dense" if columns > 16 else ""}" '
        f'style="--cell:{cell_rem:.2f}rem"><caption>truth in rows, prediction in columns, percent of the true class</caption>'
        f'<thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div><p class="explain">{IN_WORDS}</p>'
    )


def largest_mistake(counts: Array, names: Sequence[str]) -> str:
    """What most of the wrong pixels in (K, K + 1) counts are, with its share of all of them; empty if hardly any are wrong."""
    return _frequent(counts / max(1, counts.sum()), [*names, "void"], 1)


def _frequent(shares: Array, names: Sequence[str], limit: int) -> str:
    """The largest shares (K, K + 1) off the diagonal in words, largest first."""
    wrong = shares.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = (divmod(int(flat), wrong.shape[1]) for flat in order)
    return "; ".join(
        f"<b>{escape(names[row])}</b> taken for <b>{escape(names[column])}</b> {percent(wrong[row, column])}"
        for row, column in pairs
        if wrong[row, column] >= LEAST_SHARE
    )


def _cell(share: float, right: bool, digits: int) -> str:
    shown = "" if share < LEAST_SHARE else f"{100 * share:.{digits}f}"
    return f'<td class="{"right" if right else "wrong"}" style="--share:{share:.3f}">{shown}</td>'
