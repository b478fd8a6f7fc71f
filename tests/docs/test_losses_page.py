"""The page of losses does what it says: its formulas are run, and every loss has one."""

import doctest
import re
from pathlib import Path

import pytest

from intarsia.losses import LOSSES, TARGET_LOSSES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "losses.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
TARGETS = {name: target for target, name in TARGET_LOSSES.items()}


def test_the_formulas_give_what_stands_below_them() -> None:
    example = doctest.DocTestParser().get_doctest("\n".join(BLOCKS), {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert result.attempted > 40
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", LOSSES.names)
def test_every_loss_has_its_formula(name: str) -> None:
    assert re.search(rf"loss\([\"']{TARGETS.get(name, name)}[\"']", "\n".join(BLOCKS))


def test_both_sides_of_each_line_are_the_same_number() -> None:
    """What is shown is the formula's value, then the loss's."""
    shown = re.findall(r"^'(\S+) (\S+)'$", "\n".join(BLOCKS), re.MULTILINE)
    assert len(shown) >= len(LOSSES.names)
    assert all(formula == loss for formula, loss in shown)
