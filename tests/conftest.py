"""What all tests share: quiet threads and the way to the real data."""

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tests run side by side; two thread pools on two cores only get in each other's way
os.environ.setdefault("NUMBA_NUM_THREADS", "2")

from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("camvid")` is the folder of a real data pack; the test is skipped where it is absent."""

    def find(pack: str) -> Path:
        root = Path(os.environ.get("INTARSIA_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
        if not (root / pack).is_dir():
            pytest.skip(f"the data pack {pack!r} is not at {root}; set INTARSIA_SHARED_DATA to the folder that holds it")
        return root / pack

    return find
