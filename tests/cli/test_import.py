"""intarsia import as a person types it."""

import torch
from torchvision.models import resnet18
from typer.testing import CliRunner

import intarsia
from intarsia.cli.app import app
from intarsia.core import SettingsError


def type_import(*arguments):
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def test_a_classifier_into_a_trunk(tmp_path):
    torch.save({"state_dict": resnet18().state_dict()}, tmp_path / "weights.pth")
    out = tmp_path / "m.safetensors"
    said = ["--from", "torchvision:resnet18", "--out", out, "--classes", "sky,road"]
    chosen = ["--model", "linknet", "--set", "channels=8", "--imgsz", "64x96", "--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2"]
    done = type_import(tmp_path / "weights.pth", *said, *chosen)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "torchvision:resnet18 as linknet on resnet18 at output stride 32",
        f"only its trunk has these weights (weights from {tmp_path / 'weights.pth'}); the other layers are new: train --init",
        "2 classes: sky, road",
        "images fitted into 64x96, minus the mean 0.5, 0.5, 0.5 (as given)",
        f"wrote {out}",
    ]
    card = intarsia.load(out, device="cpu").card
    assert (card.spec.options["channels"], card.preprocessing.std, card.preprocessing.fit_hw) == (8, (0.2, 0.2, 0.2), (64, 96))


def test_numbers_that_are_none(tmp_path):
    done = type_import("x.pth", "--from", "smp:Unet", "--out", "m.safetensors", "--mean", "half")
    assert isinstance(done.exception, SettingsError)
    assert str(done.exception) == "--mean is 'half'; numbers with commas between, such as 0.5,0.5,0.5, are expected."
