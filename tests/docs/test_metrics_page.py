"""The page of metrics does what it says: its worked examples are run, and every metric has one."""

import doctest
import re
from pathlib import Path

import pytest

from intarsia.metrics import METRICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_worked_examples_give_what_stands_below_them() -> None:
    example = doctest.DocTestParser().get_doctest("\n".join(BLOCKS), {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert result.attempted > 30
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", METRICS.names)
def test_every_metric_has_an_example(name) -> None:
    assert any(f"from intarsia.metrics.{name} import" in block for block in BLOCKS)
