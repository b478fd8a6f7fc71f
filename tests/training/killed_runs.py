"""Trains in processes that are killed with SIGKILL and resumed until they are through. A script, for tests.

    python killed_runs.py FOLDER PLAN

PLAN is JSON: the name of each run, with its settings and the moments at which it is killed, one after the other. A moment is
one of
    {"file": "last.ckpt", "nth": 2, "when": "before" | "half" | "after"}    of the second time that the file gets its name
    {"share": 0.3}                                                           of the seconds that the first run of the plan took
    {"file": "last.ckpt", "nth": 2, "delay_s": 0.001}                        after it begins to be written, seen from outside

A run that ends before such a moment is followed by a new one in its place, so that every kill hits.

Processes are forked from this one, which has imported everything and run nothing, so that a start takes no time. FOLDER/NAME.ckpt
is a copy of the last state that a run has written, and FOLDER/NAME.txt what it said.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import test_fit
import torch
from rich.console import Console

import intarsia
from intarsia import evaluation, inference, training  # noqa: F401, imported here and not in each process


def trap(out: Path, moment: dict) -> None:
    """Kill this process when a file gets its name for the nth time; keep a copy of every state."""
    replace, count = os.replace, 0

    def replace_or_die(source, target):
        nonlocal count
        hit = Path(target).name == moment.get("file") and Path(target).parent == out
        count += hit
        when = moment.get("when") if hit and count == moment["nth"] else None
        if when == "half":
            os.truncate(source, Path(source).stat().st_size // 2)
        if when in ("before", "half"):
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if Path(target).name == "last.ckpt":
            shutil.copy(target, f"{out}.ckpt")
        if when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_or_die


def run(out: Path, settings: dict, moment: dict) -> bool:
    """Train, or go on, in a process of its own; whether it came to its end."""
    process = os.fork()
    if process == 0:
        resume = (out / "recipe.toml").exists()
        with Path(f"{out}.txt").open("a") as said:
            try:
                trap(out, moment)
                given = {"resume": True} if resume else settings
                intarsia.train(test_fit.Shapes(), out=out, device="cpu", console=Console(file=said, width=200), **given)
            except BaseException as error:
                said.write(f"{type(error).__name__}: {error}\n")
                said.flush()
                os._exit(0 if "is finished" in str(error) else 1)
            said.flush()
            os._exit(0)
    kill_from_outside(process, out, moment)
    _, status = os.waitpid(process, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"{out.name} failed: {Path(f'{out}.txt').read_text()}")
    return os.WIFEXITED(status)


def kill_from_outside(process: int, out: Path, moment: dict) -> None:
    if "share" in moment:
        started = time.monotonic()
        wait(process, lambda: time.monotonic() - started >= moment["share"] * whole_s)
    elif "delay_s" in moment:
        seen: set[str] = set()

        def begun() -> bool:
            seen.update(f"{p} {p.stat().st_ino}" for p in out.glob(f".{moment['file']}.*.part") if p.exists())
            return len(seen) >= moment["nth"]

        wait(process, begun)
        time.sleep(moment["delay_s"])
    else:
        return
    os.kill(process, signal.SIGKILL)


def wait(process: int, until) -> None:
    while not until() and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.0002)


if __name__ == "__main__":
    torch.set_num_threads(1)
    whole_s = 0.0
    for name, plan in json.loads(sys.argv[2]).items():
        out, begun = Path(sys.argv[1]) / name, time.monotonic()
        for moment in plan["kills"]:
            while run(out, plan["settings"], moment):
                if "when" in moment:
                    raise SystemExit(f"{name} ended before {moment}")
                shutil.rmtree(out)
        if not run(out, plan["settings"], {}):
            raise SystemExit(f"{name} was killed by somebody else")
        whole_s = whole_s or time.monotonic() - begun
