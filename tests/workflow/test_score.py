import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import intarsia
from intarsia.cli import score as command
from intarsia.cli.app import main
from intarsia.core import SettingsError
from intarsia.workflow.score import class_names


@pytest.fixture
def masks(tmp_path):
    for side, column in (("truth", 3), ("guess", 4)):
        (tmp_path / side).mkdir()
        for name in "ab":
            ids = np.where(np.arange(8) < column, 0, 1)[None].repeat(4, 0)
            Image.fromarray(ids.astype(np.uint8)).save(tmp_path / side / f"{name}.png")
    return tmp_path


def test_the_verb(masks):
    seen = []
    done = intarsia.score(masks / "guess", masks / "truth", classes="road,sky", progress=lambda *said: seen.append(said))
    assert done.scores["confusion"].of("iou", "road") == pytest.approx(3 / 4)
    assert seen == [(1, 2, "a"), (2, 2, "b")]


def test_names_from_a_list_a_text_or_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("road\nlight pole\n\n")
    assert class_names(str(tmp_path / "names.txt")) == ["road", "light pole"]
    assert class_names("road, light pole") == class_names(("road", "light pole")) == ["road", "light pole"]
    assert class_names(None) is None


def run(capsys, monkeypatch, *arguments, **options):
    monkeypatch.setattr(command, "open_console", lambda: Console(width=100, markup=False, highlight=False))
    command.score(*map(str, arguments), **options)
    return capsys.readouterr().out


def test_tables_and_json(masks, capsys, monkeypatch):
    shown = run(capsys, monkeypatch, masks / "guess", masks / "truth", classes="road,sky,never")
    assert "miou" in shown
    assert "0.775  0.775 to 0.775" in shown
    assert "road" in shown
    assert "never" not in shown, "a class that does not occur has no row"
    assert "note: 100.0% of the pixels were scored." in shown
    plain = json.loads(run(capsys, monkeypatch, masks / "guess", masks / "truth", as_json=True))
    assert plain["scores"]["confusion"]["miou"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert plain["intervals"]["confusion"]["images"] == 2
    shown = run(capsys, monkeypatch, masks / "guess", masks / "truth", task="instance")
    assert "coco_mask_ap" in shown
    assert "note: The predictions carry no scores" in shown


def test_the_command_line_refuses_with_exit_code_2_and_no_number_that_looks_like_a_score(tmp_path, monkeypatch, capsys):
    for side, inside in (("truth", 255), ("guess", 0)):
        (tmp_path / side).mkdir()
        Image.fromarray(np.array([[0, 0, inside, 0]], np.uint8)).save(tmp_path / side / "a.png")

    def typed(*options):
        monkeypatch.setattr(sys, "argv", ["intarsia", "score", str(tmp_path / "guess"), str(tmp_path / "truth"), *options])
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0, *capsys.readouterr()

    code, said, complaint = typed()
    assert (code, said) == (2, "")
    assert complaint.startswith("error: No score is given. All 3 scored pixels")
    assert "`--ignore none`" in complaint
    code, said, complaint = typed("--json")
    assert code == 2
    assert json.loads(said)["refused"] in complaint
    code, said, _ = typed("--json", "--allow-partial")
    assert code == 0
    assert json.loads(said)["notes"][-1].startswith("All 3 scored pixels")
    code, said, _ = typed("--json", "--ignore", "none")
    assert code == 0
    assert json.loads(said)["scores"]["confusion"]["miou"] == pytest.approx(3 / 4 / 2)
    code, _, complaint = typed("--ignore", "nothing")
    assert code == 2
    assert "The value to ignore is 'nothing'; say a number, or none" in complaint


def test_without_torch_and_quick_to_import(masks):
    sides = f"{str(masks / 'guess')!r}, {str(masks / 'truth')!r}"
    code = (
        "import sys, intarsia, intarsia.evaluation.score\n"
        "assert not {'numba', 'faster_coco_eval'} & set(sys.modules)\n"
        f"for task in ('semantic', 'instance'): intarsia.score({sides}, task)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_errors(masks):
    with pytest.raises(SettingsError, match=r"There is no task 'semantik'\. Did you mean 'semantic'"):
        intarsia.score(masks / "guess", masks / "truth", "semantik")
