"""What the networks cost on the machine at hand: latency, memory and training step of every architecture.

    python benchmarks/models.py [--imgsz 512] [--device cuda] [--threads 4] [--batch 2] [--models unet,linknet] [--again]

Writes benchmarks/results/models.json and, drawn from it, models.md and a picture for each machine and size that it holds. What is
measured already is kept, so an interrupted run goes on where it was, and a second machine adds its rows.

Options are the defaults, for 21 classes.

* latency: one image, evaluation mode, float32, the network alone; the median after a first run.
* training step: forward, backward and SGD with momentum, on `--batch` images, with the loss on the scores and on auxiliary heads.
* memory: the most that the process held beyond what it held before the network was made, weights included; of a GPU, the most
  that was allocated on it.

With one thread on a CPU, time is the processor's time of this process, which other work on the machine does not lengthen much;
otherwise it is time until the device is done. Each network has a process of its own. Weights are random, so there are no scores.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from intarsia.cli.options import parse_size
from intarsia.core.whole_file import written_whole
from intarsia.models import FIGURES_CLASSES, SEMANTIC, ModelSpec

RESULTS = Path(__file__).parent / "results"
ENOUGH_S, MOST_RUNS = 1.0, 20
"""A median is taken over as many runs as fit into this time, but at least one, and at most so many."""

Row = dict[str, Any]


def measure(name: str, size_hw: tuple[int, int], device: str, threads: int, batch: int) -> Row:
    """The row of one network; in a process that has done nothing else."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    before = held(device)
    network = ModelSpec(name, FIGURES_CLASSES).build().to(device).eval()
    image = torch.rand(batch, 3, *size_hw, device=device)
    label = torch.randint(FIGURES_CLASSES, (batch, *size_hw), device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def infer() -> None:
        with torch.inference_mode():
            network(image[:1])

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        output = network(image)
        loss = F.cross_entropy(output.logits, label)
        for head in output.auxiliary:
            loss = loss + head.weight * head.logits.square().mean()
        loss.backward()
        optimizer.step()

    clock = time.process_time if device == "cpu" and threads == 1 else time.perf_counter
    row: Row = {"latency_ms": 1e3 * seconds(infer, device, clock), "memory_mib": held(device) - before}
    network.train()
    return row | {"step_ms": 1e3 * seconds(step, device, clock), "step_memory_mib": held(device) - before}


def seconds(run: Callable[[], None], device: str, clock: Callable[[], float]) -> float:
    """Median over runs after the first, which alone counts if it takes long."""
    import torch

    times: list[float] = []
    while len(times) < MOST_RUNS + 1 and sum(times) < ENOUGH_S:
        start = clock()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(clock() - start)
    return statistics.median(times[1:] or times)


def held(device: str) -> float:
    """The most memory so far, in MiB."""
    import torch

    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def count(name: str, size_hw: tuple[int, int]) -> Row:
    from intarsia.models.figures import count_layers

    whole = count_layers(ModelSpec(name, FIGURES_CLASSES), size_hw)[0]
    return {"parameters": whole["parameters"], "gflops": whole["flops"] / 1e9}


def in_own_process(name: str, options: argparse.Namespace) -> Row:
    """The row of a network, or why there is none."""
    command = [sys.executable, __file__, "--one", name, "--imgsz", options.imgsz, "--device", options.device]
    command += ["--threads", str(options.threads), "--batch", str(options.batch)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"longer than {options.timeout:g} s"}
    if done.returncode != 0:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def machine(options: argparse.Namespace) -> str:
    """What the rows of a section have in common."""
    import torch

    from intarsia.workflow.hardware import processor_name

    if options.device != "cpu":
        where = torch.cuda.get_device_name()
    else:
        where = f"{processor_name()}, {options.threads} thread{'s' if options.threads > 1 else ''}"
    height, width = parse_size(options.imgsz) or (512, 512)
    return f"{where}, {height} x {width}, {options.batch} in a training step"


def write(path: Path, text: str) -> None:
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def as_table(sections: dict[str, Row]) -> str:
    lines = ["# What the networks cost", "", "Measured by `benchmarks/models.py`, which says how.", ""]
    for title, section in sections.items():
        lines += [f"## {title}", "", f"`{section['command']}`, torch {section['torch']}", "", f"![]({picture(title)})", ""]
        lines += ["| network | parameters | GFLOPs | latency, ms | memory, MiB | training step, ms | memory, MiB |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|"]
        for name, row in by_latency(section["rows"]):
            cells = [f"`{name}`", f"{row['parameters'] / 1e6:.1f} M", f"{row['gflops']:.1f}"]
            keys = ("latency_ms", "memory_mib", "step_ms", "step_memory_mib")
            cells += [row["error"], "", "", ""] if "error" in row else [f"{row[key]:,.0f}" for key in keys]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def by_latency(rows: dict[str, Row]) -> list[tuple[str, Row]]:
    return sorted(rows.items(), key=lambda item: item[1].get("latency_ms", math.inf))


def picture(title: str) -> str:
    plain = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return f"models-{'-'.join(filter(None, plain.split('-')))}.png"


def draw(title: str, section: Row, path: Path) -> None:
    """Latency against operations, with parameters as area, and time and memory of each network beside it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [(name, row) for name, row in by_latency(section["rows"]) if "error" not in row]
    if not rows:
        return
    names = [name for name, _ in rows]

    def column(key: str) -> list[float]:
        return [row[key] for _, row in rows]

    figure, (scatter, time_axis, memory_axis) = plt.subplots(
        1, 3, figsize=(18, 2.5 + 0.26 * len(rows)), width_ratios=(2.2, 1, 1), layout="constrained"
    )
    figure.suptitle(title, x=0.01, ha="left")
    area = [4 + parameters / 4e5 for parameters in column("parameters")]
    scatter.scatter(column("gflops"), column("latency_ms"), s=area, alpha=0.35, color="tab:blue", edgecolor="none")
    scatter.scatter(column("gflops"), column("latency_ms"), s=6, color="black")
    scatter.set(xscale="log", yscale="log", xlabel="operations, GFLOPs (area: parameters)", ylabel="latency, ms")
    scatter.margins(0.12)
    scatter.grid(which="both", alpha=0.2)
    figure.canvas.draw()
    place_labels(scatter, list(zip(column("gflops"), column("latency_ms"), names, strict=True)))
    for axis, keys, label in (
        (time_axis, ("latency_ms", "step_ms"), "ms"),
        (memory_axis, ("memory_mib", "step_memory_mib"), "MiB"),
    ):
        axis.hlines(names, *map(column, keys), color="lightsteelblue", lw=2)
        for key, color, what in zip(keys, ("tab:blue", "tab:orange"), ("one image", "training step"), strict=True):
            axis.scatter(column(key), names, color=color, label=what, zorder=2)
        axis.set(xscale="log", xlabel=label)
        axis.invert_yaxis()
        axis.grid(alpha=0.3)
        axis.margins(y=0.02)
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    memory_axis.set_yticklabels([])
    for axis in (scatter.xaxis, scatter.yaxis, time_axis.xaxis, memory_axis.xaxis):
        axis.set_major_formatter("{x:g}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def place_labels(axis: Any, points: list[tuple[float, float, str]]) -> None:
    """Put each name beside its point, at the first of some places where it covers no other name and no point."""
    renderer = axis.figure.canvas.get_renderer()
    spots = axis.transData.transform([(x, y) for x, y, _ in points])
    taken: list[Any] = []
    places = [
        (dx * ring, dy * ring)
        for ring in (1, 2, 3, 4, 6)
        for dx, dy in ((8, 0), (-8, 0), (0, 9), (0, -9), (7, 8), (-7, -8), (7, -8), (-7, 8))
    ]
    for x, y, name in points:
        for dx, dy in places:
            side = "left" if dx > 0 else "right" if dx < 0 else "center"
            arrow = {"arrowstyle": "-", "color": "gray", "lw": 0.5} if max(abs(dx), abs(dy)) > 18 else None
            text = axis.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", ha=side, va="center", fontsize=9, arrowprops=arrow
            )
            box = text.get_window_extent(renderer)
            if not any(box.overlaps(other) for other in taken) and not any(box.contains(*spot) for spot in spots):
                break
            if (dx, dy) != places[-1]:
                text.remove()
        taken.append(box)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgsz", default="512")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--models", default=",".join(SEMANTIC.names))
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one network")
    parser.add_argument("--again", action="store_true", help="measure anew what is measured already")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    size_hw = parse_size(options.imgsz) or (512, 512)
    if options.one:
        print(json.dumps(measure(options.one, size_hw, options.device, options.threads, options.batch)))
        return
    path, title = options.out / "models.json", machine(options)
    sections: dict[str, Row] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    arguments = f"--imgsz {options.imgsz} --device {options.device} --threads {options.threads} --batch {options.batch}"
    section = sections.setdefault(title, {"rows": {}})
    section |= {"command": f"python benchmarks/models.py {arguments}", "torch": torch.__version__}
    for name in options.models.split(","):
        if options.again or "latency_ms" not in section["rows"].get(name, {}):
            row = section["rows"][name] = count(name, size_hw) | in_own_process(name, options)
            print(
                f"{name:24}",
                " ".join(f"{key} {value:,.1f}" for key, value in row.items() if key != "error"),
                row.get("error", ""),
            )
            options.out.mkdir(parents=True, exist_ok=True)
            write(path, json.dumps(sections, indent=1) + "\n")
    write(options.out / "models.md", as_table(sections))
    for name, found in sections.items():
        draw(name, found, options.out / picture(name))


if __name__ == "__main__":
    main()
