"""Networks that find nuclei, trained from scratch on 160 images and scored on 40, beside the best of what needs no training.

    python benchmarks/nuclei.py [NETWORK ...] --data ../shared/data/nuclei --minutes 8 --small --classical

A network is an architecture with options, such as mask_rcnn:encoder=resnet18; without any, all. Images are fitted into --size
pixels, and everything is trained and scored at that size, classical methods as well, whose settings are chosen on train. What was
stopped (--limit, Ctrl-C) goes on with the same command. Rows are kept in results/nuclei.json; docs/bench.md shows them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

from nuclei_classical import GRID
from objects_bench import AtOneSize, Bench, Row, arguments_of

from intarsia.classical import create_method
from intarsia.core import IntarsiaError, SettingsError
from intarsia.data.datasets import open_dataset
from intarsia.evaluation import evaluate
from intarsia.models import INSTANCE

FIGURES = {
    "mean precision": lambda found: found.scores["mean_precision"]["mean_precision"],
    "AP": lambda found: found.scores["coco_mask_ap"]["ap"],
    "AP50": lambda found: found.scores["coco_mask_ap"]["ap_50"],
    "AJI": lambda found: found.scores["aji"]["aji"],
}


def main() -> None:
    arguments = arguments_of(__doc__, INSTANCE.names, "runs/nuclei")
    if arguments.data is None:
        raise SettingsError("Say where the nuclei are, by --data.")
    data = AtOneSize(open_dataset(arguments.data, view="instance"), arguments.size)

    def classical() -> Iterator[tuple[str, Row]]:
        """`threshold_watershed` with the settings of its grid that are best on every fourth image of train, at this size."""
        few = data.splits["train"][::4]
        scored = {}
        for values in product(*GRID.values()):
            settings = dict(zip(GRID, values, strict=True))
            found = evaluate(create_method("threshold_watershed", **settings), data, "train", keys=few, task="instance")
            scored[FIGURES["mean precision"](found)] = settings
        best = scored[max(scored)]
        yield "threshold_watershed", {**bench.score(create_method("threshold_watershed", **best)), "settings": best}

    bench = Bench("nuclei.py", data, INSTANCE.names, FIGURES, classical)
    bench.run(arguments)


if __name__ == "__main__":
    try:
        main()
    except IntarsiaError as error:
        sys.exit(str(error))
