"""The command as a person types it, in a process of its own where exit codes and streams matter."""

import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from intarsia.cli import app as app_module
from intarsia.cli.console import open_console
from intarsia.cli.tables import print_evaluation
from intarsia.core import ClassSpace, LabelMap, Sample
from intarsia.data.formats import write_image
from intarsia.evaluation import evaluate


def intarsia(*arguments, cwd=None):
    command = [sys.executable, "-m", "intarsia", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_bare_command_says_what_to_do_first():
    done = intarsia()
    assert done.returncode == 0
    assert "intarsia demo" in done.stdout
    assert "intarsia train FOLDER" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "--epohcs", "3"], "--epochs"),
        (["models", "u-nett"], "Did you mean 'unet'"),
        (["train", "scenes:trian=4"], "train"),
        (["train", "no/such/folder"], "There is no data set 'no/such/folder'"),
        (["train", "scenes", "--imgsz", "big"], "size 'big' is not understood"),
        (["train", "scenes", "--set", "widht=3"], "width"),
        (["evaluate", "scenes", "--model", "missing.safetensors"], "missing.safetensors does not exist"),
        (["train", "scenes:train=4,val=2", "--seed", "-1"], "seed is -1"),
        (["train", "scenes:train=4,val=2", "--workers", "-1"], "workers is -1"),
    ],
)
def test_mistakes_answer_with_a_sentence_and_exit_code_2(arguments, words, tmp_path):
    done = intarsia(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback_wherever_it_is_typed():
    assert "Traceback" in intarsia("models", "nonet", "--debug").stderr
    assert "Traceback" in intarsia("--debug", "models", "nonet").stderr


def test_models_are_listed_and_described():
    done = intarsia("models", "--json")
    names = [row["name"] for row in json.loads(done.stdout)]
    assert {"fcn", "unet", "deeplab_v3plus"} <= set(names)
    assert "deeplab_v3plus" in intarsia("models").stdout
    assert "--set stride=" in intarsia("models", "fcn").stdout


def run_main(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setattr(app_module, "app", fail)
    monkeypatch.setattr(sys, "argv", ["intarsia", "train"])
    with pytest.raises(SystemExit) as ended:
        app_module.main()
    return ended.value.code, capsys.readouterr().err


def test_troubles_with_files_and_memory_are_sentences(monkeypatch, capsys):
    code, said = run_main(monkeypatch, capsys, PermissionError(13, "Permission denied", "runs/x"))
    assert code == 2
    assert "Permission denied: 'runs/x'" in said
    code, said = run_main(monkeypatch, capsys, MemoryError())
    assert code == 2
    assert "not enough memory: try a smaller --batch" in said
    monkeypatch.setattr(sys, "argv", ["intarsia"])
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run_main(monkeypatch, capsys, RuntimeError("a mistake of ours"))


def test_names_are_printed_as_they_are():
    evaluation = evaluate(Nothing(), Nothing())
    console = open_console()
    with console.capture() as printed:
        print_evaluation(console, evaluation)
        console.print("my[red]photos :car:", soft_wrap=True)
    usual = Console(width=200)  # of somebody who calls from Python
    with usual.capture() as also_printed:
        print_evaluation(usual, evaluation)
    for text in (printed.get(), also_printed.get()):
        assert "x [/old]" in text
        assert "my[red]data" in text
    assert "my[red]photos :car:" in printed.get()


class Nothing:
    """Two classes with unusual names, as a data set of one image and as a predictor of it."""

    name, task, splits, notes = "my[red]data", "semantic", {"val": ("a",)}, ()
    classes = ClassSpace.from_names(["x [/old]", ":car:"])

    def read(self, key):
        return Sample(np.zeros((2, 2, 3), np.uint8), (LabelMap(np.eye(2, dtype=np.uint8), self.classes),), key)

    def predict(self, image, hints=None):
        return LabelMap(np.eye(2, dtype=np.uint8), self.classes)


def test_the_demo_of_another_recipe(tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(
        'model = "unet"\ndata = "scenes:train=4,val=2,test=4,size=32"\noptions = { width = 4, depth = 1 }\nbatch = 2\n'
    )
    monkeypatch.chdir(tmp_path)
    command = "demo --recipe tiny.toml --epochs 1 --device cpu --out demo"
    done = CliRunner().invoke(app_module.app, command.split())
    assert done.exit_code == 0, done.output
    assert "demo/report.html   <- open this in a browser" in done.stdout
    assert (tmp_path / "demo/demo.png").exists()


@pytest.mark.slow
def test_two_processes_train_two_stages_and_one_of_them_reports(tmp_path):
    (tmp_path / "staged.toml").write_text(
        'data = "scenes:train=8,val=4,size=32"\noptions = { width = 4, depth = 1 }\nepochs = 1\nbatch = 2\n'
        '[[stages]]\nlr = 1e-3\n[[stages]]\ninit = "previous"\n'
    )
    command = ["train", "--recipe", "staged.toml", "--device", "cpu", "--devices", 2, "--out", "run"]
    for again in ([], ["--overwrite"]):
        done = intarsia(*command, *again, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("data: scenes") == done.stdout.count("stage 2 of 2") == done.stdout.count("report: ") == 1
        assert (tmp_path / "run/stage-1/best.safetensors").exists()
    refused = intarsia(*command, cwd=tmp_path)
    assert refused.returncode == 2
    assert "There is a run in run already" in refused.stderr


def test_version():
    assert intarsia("--version").stdout.startswith("intarsia 0.")


def test_train_evaluate_predict(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        mask = np.zeros((32, 32, 1), np.uint8)
        mask[8:20, 4 + number : 20] = 1
        write_image(tmp_path / f"data/images/{number}.png", (mask * 150 + rng.integers(0, 50, mask.shape)).astype(np.uint8))
        write_image(tmp_path / f"data/masks/{number}.png", mask)
    size = ["--set", "width=4", "--set", "depth=1", "--device", "cpu", "--epochs", 2, "--out", "run"]
    done = intarsia("train", "data", "--model", "unet", *size, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mIoU" in done.stdout
    assert "run/best.safetensors" in done.stdout
    done = intarsia("evaluate", "data", "--model", "run/best.safetensors", "--json", cwd=tmp_path)
    assert 0 <= json.loads(done.stdout)["scores"]["miou"] <= 1
    (tmp_path / "data/images/broken.png").write_bytes(b"nothing")
    done = intarsia("predict", "data/images", "--model", "run", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "6 of 7 images segmented" in done.stdout
    assert "broken.png" in done.stderr
