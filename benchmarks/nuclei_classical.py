"""Nuclei by classical means only: `threshold_watershed` tuned on train, scored on val. The baseline row for instance networks.

    python benchmarks/nuclei_classical.py ../shared/data/nuclei

Writes benchmarks/results/nuclei_classical.json: mean precision (0.5:0.95) with its interval, the settings, seconds an image.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

from intarsia.classical.threshold_watershed import threshold_watershed
from intarsia.core import Array, ClassSpace, Instances
from intarsia.data.formats import read_image
from intarsia.data.formats.instance import read_instances
from intarsia.metrics import bootstrap
from intarsia.metrics.mean_precision import MeanPrecisionEvidence, observe_mean_precision, score_mean_precision, score_precisions

NUCLEUS = ClassSpace.from_names(["nucleus"], things=["nucleus"])
GRID = {"level": (0.6,), "own_level": (0.4, 0.45, 0.5), "depth": (0.75, 1.0)}
RESULT = Path(__file__).parent / "results" / "nuclei_classical.json"

Item = tuple[str, Array, Instances]


def main(root: Path) -> None:
    train, val = load(root, "train"), load(root, "val")
    tuning = train[1::2]  # half of train is enough to choose; the choice is then scored on all of it
    scores: dict[tuple[float, ...], float] = {}
    for values in product(*GRID.values()):
        scores[values] = score(tuning, dict(zip(GRID, values, strict=True)))[0]
        print(dict(zip(GRID, values, strict=True)), f"train mean precision {scores[values]:.4f}", flush=True)
    best = dict(zip(GRID, max(scores, key=lambda values: scores[values]), strict=True))
    on_train, _, _ = score(train, best)
    on_val, evidence, seconds = score(val, best)
    low, high = bootstrap(evidence, score_precisions).of("mean_precision")
    found = score_mean_precision(evidence)
    result = {
        "method": "threshold_watershed",
        "command": "python benchmarks/nuclei_classical.py ../shared/data/nuclei",
        "settings": best,
        "train_mean_precision": round(on_train, 4),
        "val_mean_precision": round(on_val, 4),
        "val_interval_95": [round(low, 4), round(high, 4)],
        "val_precision_at_50": round(found.precision_at[0.5], 4),
        "val_objects": {"found": found.found, "invented": found.invented, "missed": found.missed},
        "seconds_per_image": round(seconds / len(val), 3),
        "images": {"train": len(train), "val": len(val)},
        "machine": platform.machine(),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def load(root: Path, split: str) -> list[Item]:
    paths = sorted((root / "images" / split).glob("*.png"))
    return [(p.stem, read_image(p), read_instances(root / "instances" / split / p.name, NUCLEUS, 0)) for p in paths]


def score(items: list[Item], settings: dict[str, Any]) -> tuple[float, MeanPrecisionEvidence, float]:
    rows, seconds = [], 0.0
    for key, image, truth in items:
        start = time.perf_counter()
        ids = threshold_watershed(image, **settings)
        seconds += time.perf_counter() - start
        rows.append(observe_mean_precision(Instances.from_ids(ids, NUCLEUS, 0), truth, key))
    evidence = MeanPrecisionEvidence.concatenate(rows)
    return score_mean_precision(evidence).mean_precision, evidence, seconds


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
