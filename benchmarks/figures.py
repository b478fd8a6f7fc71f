"""What can be counted about every architecture, for `intarsia models`: parameters, operations, strides, receptive field.

    python benchmarks/figures.py

writes src/intarsia/models/figures.json, with an architecture to a line. Nothing is computed: the networks run on the meta device.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from intarsia.core.whole_file import written_whole
from intarsia.models import FIGURES_SIZE_HW, NETWORKS, spec_to_count
from intarsia.models.figures import figures


def main() -> None:
    rows = []
    for name in (name for catalog in NETWORKS.values() for name in catalog.names):
        found, _ = figures(spec_to_count(name), FIGURES_SIZE_HW)
        flops = "    varies" if found["flops"] is None else f"{found['flops'] / 1e9:10.1f}"
        print(f"{name:24}{found['parameters']:>14,}{flops} GFLOPs   sees {found['receptive_field']}")
        rows.append(f"{json.dumps(name)}: {json.dumps(found)}")
    with written_whole(Path(str(resources.files("intarsia.models").joinpath("figures.json")))) as partial:
        partial.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
