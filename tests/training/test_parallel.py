"""Two processes are one: the same weights as one process with the batches of both, and the same counts of the same images."""

import io
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from intarsia.core import ClassSpace, LabelMap, Sample
from intarsia.losses.cross_entropy_dice import cross_entropy_dice_loss
from intarsia.ops.over_processes import batch_over_processes
from intarsia.recipes import Stage
from intarsia.training import Machine, leave_processes, read_history, train_stage
from intarsia.training.semantic import SemanticModule

SPACE = ClassSpace.from_names(["ground", "square", "rare"])
# SGD, since Adam divides gradients that are nearly nothing by themselves, and the order of a sum is all they consist of; no
# normalisation over the batch, which on a CPU each process has for itself.
LEARNING = Stage(
    options={"width": 4, "depth": 1, "norm": "none", "dropout": 0.0}, epochs=2, lr=0.1, optimizer="sgd", precision="32", batch=4
)
STILL = replace(LEARNING, lr=1e-30, epochs=1)


class Uneven:
    """Squares; the second half of the images is mostly ignored, and some lack a class: the processes' batches are not alike."""

    name, task, classes, notes = "uneven", "semantic", SPACE, ()
    splits = MappingProxyType({"train": [f"train/{i}" for i in range(13)], "val": [f"val/{i}" for i in range(5)]})

    def read(self, key: str) -> Sample:
        number = int(key.split("/")[1])
        rng = np.random.default_rng([len(key), number])
        label = np.zeros((16, 16), np.uint8)
        top, left = rng.integers(0, 8, 2)
        label[top : top + 8, left : left + 8] = 1 + (number % 5 == 0)
        image = (label[..., None] * 100 + rng.integers(0, 60, (16, 16, 3))).astype(np.uint8)
        label[: rng.integers(0, 16) if number % 2 else 0] = SPACE.ignore_id
        return Sample(image, (LabelMap(label, SPACE),), key)


def train(out, stage, **machine):
    """Train, and keep what the validation counted, image by image, as OUT-RANK.pt."""
    counted, done = {}, SemanticModule.on_validation_epoch_end

    def noted(self):
        counted.update({e.keys[0]: (torch.from_numpy(e.counts), torch.from_numpy(e.ignored)) for e in self._evidence})
        assert len(counted) == len(self._evidence), "an image was counted twice"
        done(self)
        torch.save(counted, f"{out}-{self.global_rank}.pt")

    SemanticModule.on_validation_epoch_end = noted
    try:
        console = Console(file=io.StringIO())
        return train_stage(stage, Uneven(), out, seed=0, machine=Machine(device="cpu", **machine), console=console)
    finally:
        SemanticModule.on_validation_epoch_end = done


def batch_of_four():
    """Logits, and labels of which the second process, which has every other image, can use very little."""
    torch.manual_seed(0)
    logits, label = torch.randn(4, 3, 8, 8), torch.randint(0, 3, (4, 8, 8))
    label[1], label[3, 1:] = 255, 255
    return logits, label


def loss_and_gradient(part):
    logits, label = batch_of_four()
    mine = logits[part].clone().requires_grad_()
    with batch_over_processes():
        loss = cross_entropy_dice_loss(mine, label[part], ignore_id=255, class_weight=torch.tensor([1.0, 2.0, 5.0]))
    loss.backward()
    return loss.detach(), mine.grad


if __name__ == "__main__":  # Lightning starts the second process by running the same script again
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    train(folder / "two", replace(LEARNING, batch=2), devices=2)
    train(folder / "two-still", replace(STILL, batch=2), devices=2)
    rank = torch.distributed.get_rank()
    torch.save(loss_and_gradient(slice(rank, None, 2)), folder / f"loss-{rank}.pt")
    leave_processes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left, and one process with batches of twice the size beside it."""
    folder = tmp_path_factory.mktemp("parallel")
    command = [sys.executable, __file__, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    train(folder / "one", LEARNING)
    train(folder / "one-still", STILL)
    return folder


def test_the_loss_is_that_of_the_batches_of_both(folder):
    loss, gradient = loss_and_gradient(slice(None))
    for rank in range(2):
        value, part = torch.load(folder / f"loss-{rank}.pt")
        assert torch.allclose(value, loss)
        assert torch.allclose(part / 2, gradient[rank::2], atol=1e-7), "parallel training takes the mean of both gradients"


def test_the_weights_are_those_of_one_process_with_the_batches_of_both(folder):
    one, two = (load_file(folder / name / "last.safetensors") for name in ("one", "two"))
    start = load_file(folder / "one-still" / "last.safetensors")
    for name, tensor in one.items():
        assert torch.allclose(two[name], tensor, atol=1e-5)
        assert not torch.allclose(start[name], tensor, atol=1e-3), "they have moved far more than that"


def test_the_history_is_that_of_one_process(folder):
    one, two = (read_history(folder / name) for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two] == [3, 6]
    for a, b in zip(one, two, strict=True):
        assert {name: pytest.approx(value, abs=1e-3, nan_ok=True) for name, value in a.items() if name != "val/loss"} == {
            name: value for name, value in b.items() if name != "val/loss"
        }


def test_every_image_is_counted_once_and_alike(folder):
    first, second = (torch.load(folder / f"two-still-{rank}.pt") for rank in range(2))
    one = torch.load(folder / "one-still-0.pt")
    assert not first.keys() & second.keys()
    both = {**first, **second}
    assert both.keys() == one.keys() == set(Uneven.splits["val"])
    for key, (counts, ignored) in one.items():
        assert torch.equal(both[key][0], counts)
        assert torch.equal(both[key][1], ignored)
    assert len({int(counts.sum()) for counts, _ in one.values()}) > 1, "images differ in how much of them counts"


COMMAND = "train scenes:train=8,val=3,test=1,size=32 --set width=4 --set depth=1 --epochs 2 --batch 2 --device cpu"


def starts(port):
    """Ways to start two processes, each a list of (arguments before the command, after it, environment)."""
    torchrun = ["-m", "torch.distributed.run"]
    two_nodes = ["--nnodes", "2", "--nproc_per_node", "1", "--master_addr", "127.0.0.1", "--master_port", str(port)]
    by_hand = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    nodes = ["--nodes", "2"]
    return {
        "one machine": [([], ["--devices", "2"], {})],
        "torchrun, one machine": [([*torchrun, "--standalone", "--nproc_per_node", "2"], ["--devices", "2"], {})],
        "torchrun, two machines": [([*torchrun, *two_nodes, "--node_rank", str(rank)], nodes, {}) for rank in range(2)],
        "two machines": [([], nodes, {**by_hand, "NODE_RANK": str(rank)}) for rank in range(2)],
    }


@pytest.mark.slow
def test_every_way_to_start_two_processes_gives_the_same_run(tmp_path):
    left = {}
    for name in starts(0):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        out = tmp_path / name
        processes = [
            subprocess.Popen(
                [sys.executable, *before, "-m", "intarsia", *COMMAND.split(), *after, "--out", out],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for before, after, environment in starts(port)[name]
        ]
        for process in processes:
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, f"{name}: {said}"
        assert (out / "report.html").exists()
        left[name] = [(out / file).read_bytes() for file in ("results.csv", "best.safetensors")]
    first, *others = left
    for other in others:
        assert left[other] == left[first], f"{other} against {first}"
