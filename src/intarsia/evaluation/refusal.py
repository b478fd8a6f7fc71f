"""When a score would not mean what it seems to, and what a reader of a score should know."""

from __future__ import annotations

from collections.abc import Sequence

from intarsia.data.stats import LEAST_SCORED
from intarsia.evaluation.evaluation import ScoreRefused
from intarsia.metrics.confusion import ConfusionScores

__all__ = ["absent_note", "check_meaning"]

REMEDY = "`intarsia check` lists what the masks hold, and `classes` and `ignore` in the data's intarsia.toml say what it means."


def check_meaning(
    scores: ConfusionScores,
    *,
    predictor: str,
    dataset: str,
    split: str = "",
    allow_partial: bool = False,
    command: str = "evaluate",
    remedy: str = REMEDY,
    cause: str = "",
) -> tuple[str, ...]:
    """Why the scores mean little: one sentence each with numbers, cause and what to do; nothing if they mean what they say.

    Args:
        scores: over all images.
        predictor: what was to be scored.
        dataset: against which truth.
        split: of the data set; files have none.
        allow_partial: return the reasons where they would be raised.
        command: of `intarsia`, which takes --allow-partial.
        remedy: how to say which value is ignored.
        cause: where it is known better than from the scores; said with the last reason.

    Raises:
        ScoreRefused: there is a reason and `allow_partial` is not set, or not one pixel was scored.
    """
    names, where = scores.classes.names, f"{dataset} {split}".rstrip()
    reasons = []
    if not scores.share_scored >= LEAST_SCORED:
        values = ", ".join(map(str, dict.fromkeys((*scores.classes.ignore_sources, scores.classes.ignore_id))))
        share = f"Only {scores.share_scored:.1%} of the pixels" if scores.share_scored > 0 else "Not one pixel"
        reasons.append(
            f"{share} of {where} can be scored; the others are ignored. Probably a value that means a class is among those to "
            f"ignore ({values}): {remedy}"
        )
    present = [name for name, pixels in zip(names, scores.truth_pixels, strict=True) if pixels]
    if len(present) == 1:
        declared = f"one of the {len(names)} classes" if len(names) > 1 else "the only class"
        reasons.append(
            f"All {int(scores.truth_pixels.sum())} scored pixels of {where} are {present[0]!r} in the truth, {declared}, so "
            f"answering {present[0]!r} everywhere would be perfect. Probably the masks mark what is missing by a value that is "
            "ignored, as with masks of 0 and 255 where 255 is ignored, or these images hold nothing else: choose others."
        )
    if reasons and cause:
        reasons[-1] += f" {cause}"
    if reasons and not (allow_partial and present):
        override = (
            f" If it is meant so, as with sparse annotation, `intarsia {command} ... --allow-partial` (allow_partial=True) "
            "scores what there is and keeps this warning."
        )
        raise ScoreRefused(f"No score is given. {' '.join(reasons)}{override if present else ''}", predictor, dataset, split)
    return tuple(reasons)


def absent_note(absent: Sequence[str], declared: int) -> str:
    """Which classes have no score, and over how many the mean is."""
    return (
        "In neither the truth nor the prediction of any image, so their IoU is NaN and left out of the means: "
        f"{', '.join(absent)}. The mIoU is over {declared - len(absent)} of the {declared} declared classes."
    )
