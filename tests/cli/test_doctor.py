"""intarsia doctor as a person types it, once whole and once where something is broken."""

import json

from typer.testing import CliRunner

from intarsia import __version__
from intarsia.cli.app import app
from intarsia.workflow import doctor as doctor_module


def test_the_whole_examination(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["doctor", "--device", "cpu", "--json"])
    found = json.loads(done.stdout)
    assert "training for two seconds" in done.stderr
    assert done.exit_code == (1 if found["faults"] else 0)
    assert found["intarsia"] == __version__
    assert set(found["facts"]) == {"system", "packages", "folders", "devices", "training"}
    assert {"torch", "torchvision", "timm", "lightning", "numpy", "numba"} <= set(found["facts"]["packages"])
    assert found["training"]["losses"][-1] < 0.9 * found["training"]["losses"][0]
    assert found["training"]["images_per_second"] > 0
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in done.stdout


def test_faults_make_the_exit_code_1(monkeypatch):
    def damage(found, packages, **options):
        found.faults.append("torch is broken. Install it again.")

    monkeypatch.setattr(doctor_module, "_try", damage)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "to mend:" in done.stdout
    assert "torch is broken. Install it again." in done.stdout
