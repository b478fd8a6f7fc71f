"""What an evaluation leaves in a folder: evaluation.json, from which the report can be built again, and report.html."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intarsia.classical import CLASSICAL
from intarsia.core import DataError, Dataset, Predictor
from intarsia.core.whole_file import written_whole
from intarsia.recipes.run_files import CHECK, EVALUATION, HISTORY, REPORT
from intarsia.workflow.environment import environment
from intarsia.workflow.hardware import processor_name

if TYPE_CHECKING:
    from intarsia.evaluation import Evaluation, ObjectEvaluation, ScoreRefused
    from intarsia.recipes import Recipe

__all__ = ["Results", "command_line", "recipe_settings", "write_page"]


@dataclass(frozen=True)
class Results:
    """The content of evaluation.json.

    outcome: scores, or why there are none.
    command: what was typed.
    settings: name to value, as the report shows them.
    environment: versions and machine.
    inputs: what was named as `data` and `model`, for whoever evaluates again; a run's own are not named.
    """

    outcome: Evaluation | ObjectEvaluation | ScoreRefused
    command: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    inputs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def now(
        cls,
        outcome: Evaluation | ObjectEvaluation | ScoreRefused,
        predictor: Predictor,
        *,
        settings: Mapping[str, str],
        inputs: Mapping[str, str] | None = None,
    ) -> Results:
        """With the command and the machine of this moment."""
        machine = {"device": str(getattr(predictor, "device", "cpu")), "CPU": processor_name(), **environment()}
        return cls(outcome, command_line(), settings, machine, inputs or {})

    def save(self, out: Path) -> None:
        """Write evaluation.json."""
        facts = {name: getattr(self, name) for name in ("command", "inputs", "settings", "environment")}
        text = json.dumps({**self.outcome.to_dict(), **facts}, indent=2, allow_nan=False)
        # A row of numbers stands in one line. Within a string a line break is written \n, so no name is touched.
        text = re.sub(r"\[\n([^][{}\"]*?)\s*\]", lambda row: f"[{' '.join(row[1].split())}]", text)
        out.mkdir(parents=True, exist_ok=True)
        with written_whole(out / EVALUATION) as partial:
            partial.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, out: Path) -> Results:
        """Read evaluation.json.

        Raises:
            DataError: it is missing, damaged, or of an earlier version.
        """
        from intarsia.evaluation import Evaluation, ObjectEvaluation, ScoreRefused

        path = out / EVALUATION
        if not path.is_file():
            raise DataError(f"There is no {path}.")
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            facts = {name: data[name] for name in ("command", "settings", "environment", "inputs")}
            if "refused" in data:
                names = (data[name] for name in ("refused", "predictor", "dataset", "split"))
                return cls(ScoreRefused(*names), **facts)
            read = ObjectEvaluation.from_dict if "task" in data else Evaluation.from_dict
            return cls(read(data), **facts)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({type(error).__name__}: {error}).") from error


def write_page(
    out: Path,
    results: Results,
    predictor: Predictor | None = None,
    dataset: Dataset | None = None,
    *,
    notes: Sequence[str] = (),
) -> Path:
    """Write report.html beside results.csv and check.json, whose content it shows; pictures need the predictor and the data."""
    from intarsia.evaluation import ScoreRefused, keys_to_show, predict_sample, write_report
    from intarsia.evaluation.gallery import WORST

    outcome = results.outcome
    examples = []
    if predictor is not None and dataset is not None:
        unscored = list(dataset.splits.get(outcome.split, ()))[:WORST]
        keys = unscored if isinstance(outcome, ScoreRefused) else keys_to_show(outcome)
        samples = map(dataset.read, keys)
        examples = [(sample.key, sample.image, sample.truth, predict_sample(predictor, sample)) for sample in samples]
    return write_report(
        out / REPORT,
        title=f"{outcome.predictor} on {outcome.dataset}",
        command=results.command,
        result=outcome,
        examples=examples,
        history=_history(out / HISTORY),
        findings=_findings(out / CHECK),
        settings=results.settings,
        notes=notes,
        environment=results.environment,
    )


def recipe_settings(plan: Recipe) -> dict[str, str]:
    """The last stage of a recipe as it stands in the report; of a classical method its options."""
    stage = plan.stages[-1]
    settings = {"model": stage.model, **stage.options} if stage.model in CLASSICAL else vars(stage)
    chosen = {name: str(value) for name, value in settings.items() if value not in (None, (), {}, False)}
    return {**chosen, "seed": str(plan.seed)}


def command_line() -> str:
    """The command that runs now, as a person would type it."""
    name = Path(sys.argv[0]).name
    return shlex.join(["intarsia" if name in ("intarsia", "__main__.py") else name, *sys.argv[1:]])


def _history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def _findings(path: Path) -> list[dict[str, Any]] | None:
    """What the check of the data found, None without one; a file that cannot be read is a finding of its own."""
    if not path.is_file():
        return None
    try:
        return [dict(finding) for finding in json.loads(path.read_text(encoding="utf-8"))["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        return [{"severity": "note", "message": f"{path.name} cannot be read ({type(error).__name__}: {error})."}]
