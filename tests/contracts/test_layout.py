"""The folder is the registry: files, tests and rows in the documentation agree."""

import json
import re
import shutil
from pathlib import Path

import pytest

from intarsia.models import SEMANTIC

REPOSITORY = Path(__file__).resolve().parents[2]

# folder under src/intarsia (and under tests), and the page that has a row for each of its files
CATALOGUES = {
    "models/semantic": "docs/models.md",
    "models/instance": "docs/models.md",
    "models/panoptic": "docs/models.md",
    "classical": "docs/classical.md",
    "losses": "docs/losses.md",
    "metrics": "docs/metrics.md",
    "data/formats": "docs/formats.md",
    "data/datasets": "docs/datasets.md",
    "data/targets": "docs/targets.md",
}
LONGEST_FILE = 400


def rows(page: Path) -> set[str]:
    return set(re.findall(r"^\| `([a-z0-9_]+)`", page.read_text(encoding="utf-8"), re.MULTILINE))


def faults(repository: Path) -> list[str]:
    """What is missing or left over, one sentence each."""
    found = []
    on_page: dict[str, set[str]] = {page: set() for page in CATALOGUES.values()}  # files that a page describes
    for folder, page in CATALOGUES.items():
        source = repository / "src" / "intarsia" / folder
        names = {file.stem for file in source.glob("*.py") if not file.stem.startswith("_")}
        tests = {file.stem.removeprefix("test_") for file in (repository / "tests" / folder).glob("test_*.py")}
        found += [f"{folder}/{name}.py has no test tests/{folder}/test_{name}.py" for name in sorted(names - tests)]
        found += [f"{folder}/{name}.py has no row in {page}" for name in sorted(names - rows(repository / page))]
        on_page[page] |= names
    for page, names in on_page.items():
        found += [f"{page} has a row `{name}` for which there is no file" for name in sorted(rows(repository / page) - names)]
    for file in sorted((repository / "src").rglob("*.py")):
        if file.stem in ("utils", "common", "helpers", "misc"):
            found.append(f"{file.relative_to(repository)}: a function belongs to a noun")
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            found.append(f"{file.relative_to(repository)} has {lines} lines, more than {LONGEST_FILE}: one file for one thing")
    return found


def test_every_file_has_its_test_and_its_row():
    assert faults(REPOSITORY) == []


def test_every_architecture_has_learnt_four_images_by_heart():
    rows = json.loads((REPOSITORY / "benchmarks/results/overfit.json").read_text())
    assert set(rows) == set(SEMANTIC.names), "run benchmarks/overfit.py, which trains what has no row"
    assert {name: row["miou"] for name, row in rows.items() if not row["miou"] >= 0.95} == {}
    assert {name: row["steps"] for name, row in rows.items() if row["steps"] > 300} == {}


@pytest.fixture
def copy(tmp_path):
    for part in ("src", "tests", "docs"):
        shutil.copytree(REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "*.png", "*.nb*"))
    return tmp_path


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_an_architecture_dropped_in_alone_makes_the_layout_speak(copy, task):
    (copy / f"src/intarsia/models/{task}/newnet.py").write_text("__all__ = ['NewNet']\n")
    assert faults(copy) == [
        f"models/{task}/newnet.py has no test tests/models/{task}/test_newnet.py",
        f"models/{task}/newnet.py has no row in docs/models.md",
    ]


def test_rows_without_files_and_rooms_without_nouns_are_found(copy):
    page = copy / "docs/losses.md"
    page.write_text(page.read_text() + "\n| `ghost_loss` | gone |\n")
    (copy / "src/intarsia/utils.py").write_text("")
    (copy / "src/intarsia/ops/endless.py").write_text("\n" * 401)
    assert faults(copy) == [
        "docs/losses.md has a row `ghost_loss` for which there is no file",
        "src/intarsia/ops/endless.py has 401 lines, more than 400: one file for one thing",
        "src/intarsia/utils.py: a function belongs to a noun",
    ]
