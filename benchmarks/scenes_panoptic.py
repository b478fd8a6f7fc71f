"""Networks for things and stuff, trained from scratch on drawn scenes and scored on 64 others by panoptic quality.

    python benchmarks/scenes_panoptic.py [NETWORK ...] --minutes 8 --small

A network is an architecture with options, such as panoptic_fpn:encoder=resnet18; without any, all. What was stopped (--limit,
Ctrl-C) goes on with the same command. Rows are kept in results/scenes_panoptic.json; docs/bench.md shows them. No classical
method says what stuff is, so there is none beside them.
"""

from __future__ import annotations

import sys

from objects_bench import AtOneSize, Bench, arguments_of

from intarsia.core import IntarsiaError
from intarsia.data.datasets import open_dataset
from intarsia.models import PANOPTIC

FIGURES = {
    "PQ": lambda found: found.scores["panoptic_quality"]["pq"],
    "PQ stuff": lambda found: found.scores["panoptic_quality"]["pq_stuff"],
    "PQ things": lambda found: found.scores["panoptic_quality"]["pq_things"],
    "SQ": lambda found: found.scores["panoptic_quality"]["sq"],
    "RQ": lambda found: found.scores["panoptic_quality"]["rq"],
}


def main() -> None:
    arguments = arguments_of(__doc__, PANOPTIC.names, "runs/scenes_panoptic")
    data = open_dataset(arguments.data or f"scenes:train=320,val=64,test=0,size={arguments.size}", view="panoptic")
    Bench("scenes_panoptic.py", AtOneSize(data, arguments.size), PANOPTIC.names, FIGURES).run(arguments)


if __name__ == "__main__":
    try:
        main()
    except IntarsiaError as error:
        sys.exit(str(error))
