"""A folder of a user: photographs of bright squares, and masks saved as 0 and 255, which `check --fix` declared."""

import io

import numpy as np
import pytest
from rich.console import Console

from intarsia.data.formats import write_image
from intarsia.workflow.check import check


@pytest.fixture
def quiet():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "cells"
    rng = np.random.default_rng(0)
    for number in range(15):
        image = rng.integers(0, 60, (40, 48, 3), dtype=np.uint8)
        mask = np.zeros((40, 48, 1), np.uint8)
        for _ in range(3):
            y, x = rng.integers(0, 30), rng.integers(0, 38)
            mask[y : y + 10, x : x + 10] = 255
        image[mask[..., 0] > 0] += 150
        write_image(root / "images" / f"c{number:02}.png", image)
        write_image(root / "masks" / f"c{number:02}.png", mask)
    check(root, fix=True)
    return root


@pytest.fixture(scope="session")
def run(cells, tmp_path_factory):
    import intarsia

    out = tmp_path_factory.mktemp("runs") / "cells"
    console = Console(file=io.StringIO(), width=200)
    settings = {"options": {"width": 8, "depth": 2}, "epochs": 6, "lr": 1e-2}
    done = intarsia.train(cells, model="unet", out=out, device="cpu", console=console, **settings)
    return done, console.file.getvalue()
