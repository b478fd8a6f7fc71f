"""The CamVid bench on a handful of drawn frames: what it does when it is stopped, and that its page is what its results say."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from intarsia.data.datasets.camvid import CamVid
from intarsia.data.preprocessing import Preprocessing
from intarsia.data.transforms import Augmentation
from intarsia.inference import read_model
from intarsia.models import create_model
from intarsia.training.loaders import FittedSamples, SegmentationData

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE_HW = (24, 32)
RECIPE = """
batch = 2
accumulate = 2
crop = [16, 24]
lr = 1e-2
loss = "cross_entropy"
class_weights = "log"
ema = 0.9
[[stages]]
epochs = 3
[[stages]]
init = "previous"
epochs = 2
patience = 1
"""


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A folder as CamVid's: 9, 3 and 5 frames of two colours, some pixels void."""
    root, rng = tmp_path_factory.mktemp("camvid"), np.random.default_rng(0)
    for split, count in (("train", 9), ("val", 3), ("test", 5)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            ids = np.zeros(SIZE_HW, np.uint8)
            ids[rng.integers(4, 20) :] = 3
            ids[:2] = 11
            image = np.where(ids[..., None] == 3, (90, 60, 90), (120, 140, 200)) + rng.integers(-20, 20, (*SIZE_HW, 3))
            Image.fromarray(image.astype(np.uint8)).save(root / "images" / split / f"{number}.jpg")
            Image.fromarray(ids).save(root / "masks" / split / f"{number}.png")
    return root


@pytest.fixture
def bench(tmp_path, monkeypatch, frames):
    """Run the command of some options; it reads and writes here only, and stops wherever it can if it is impatient."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import camvid
    import camvid_table

    (tmp_path / "page.md").write_text(f"# Page\n{camvid_table.BEGIN}\nold\n{camvid_table.END}\nafter\n")
    (tmp_path / "two.toml").write_text(RECIPE)
    monkeypatch.setattr(camvid, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(camvid_table, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(camvid_table, "PLOT", tmp_path / "plot.png")
    monkeypatch.chdir(tmp_path)
    high = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark

    class Impatient(camvid.Clock):
        """Always over, or never."""

        is_over = False

        def listen(self):
            pass

    monkeypatch.setattr(camvid, "Clock", Impatient)

    def run(options, impatient=False):
        Impatient.is_over = impatient
        monkeypatch.setattr(sys, "argv", ["camvid.py", *shlex.split(options), "--data", str(frames), "--precision", "32"])
        camvid.main()
        return json.loads((tmp_path / "results.json").read_text()) if (tmp_path / "results.json").exists() else {}

    yield run
    torch.set_float32_matmul_precision(high[0])
    torch.backends.cudnn.benchmark = high[1]


NETWORK = "unet:width=4,depth=2,dropout=0.2"


def test_a_training_stopped_again_and_again_equals_one_that_was_not(bench, tmp_path, capsys):
    options = f"{NETWORK} --recipe two.toml"
    whole = bench(f"{options} --runs whole")[f"{NETWORK} (two)"]
    (tmp_path / "results.json").unlink()
    commands = 1
    while not (rows := bench(f"{options} --runs parts", impatient=True)):
        commands += 1
    parts = rows[f"{NETWORK} (two)"]
    assert commands > 5
    measured = ("seconds", "images_per_s", "speed", "peak_bytes")
    assert {k: v for k, v in parts.items() if k not in measured} == {k: v for k, v in whole.items() if k not in measured}
    assert whole["miou"] > 0.05
    assert whole["iou"]["pole"] is None
    assert whole["command"] == f"python benchmarks/camvid.py {NETWORK} --recipe two.toml --precision 32"
    name = "unet_width=4,depth=2,dropout=0.2_two_/best.safetensors"
    (one, card), (other, _) = (read_model(tmp_path / runs / name) for runs in ("whole", "parts"))
    assert card.scores["test/miou"] == pytest.approx(whole["miou"], abs=1e-4)
    for key, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key]), key
    assert [path.name for path in (tmp_path / "parts").glob("*/*")] == ["best.safetensors"]
    capsys.readouterr()


def test_other_settings_do_not_go_on_with_what_was_saved(bench):
    assert bench(f"{NETWORK} --set epochs=4 --set batch=2", impatient=True) == {}
    with pytest.raises(ValueError, match=r"other settings\. Give those, or --again to begin anew"):
        bench(f"{NETWORK} --set epochs=2 --set batch=2")
    rows = bench(f"{NETWORK} --set epochs=2 --set batch=2 --again")
    assert rows[NETWORK]["epochs"] == 2
    assert rows[NETWORK]["stages"][0]["batch"] == 2
    assert bench(NETWORK) == rows  # nothing to do


def test_what_is_frozen_stays(bench, tmp_path):
    bench(f"{NETWORK} --set epochs=2 --set batch=2 --set 'frozen=[\"down.\"]'")
    torch.manual_seed(0)
    before = create_model("unet", num_classes=11, width=4, depth=2).state_dict()
    model, _ = read_model(next(tmp_path.rglob("best.safetensors")))
    changed = {key.split(".")[0] for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert changed == {"up", "enlarge", "score"}


def test_a_time_budget_chooses_the_epochs(bench, monkeypatch):
    import camvid

    monkeypatch.setattr(
        camvid.Bench, "_speed", lambda self, training: {"device": 2.0, "validation_s": 1.0, "loader": 1.0, "workers": 0}
    )
    # An epoch of 8 images at 2 a second, with its validation: 5 s.
    row = bench(f"{NETWORK} --minutes 0.3")[NETWORK]
    assert row["epochs"] == row["stages"][0]["epochs"] == 3


def test_a_loss_that_is_not_finite_ends_a_network_and_is_told(bench, tmp_path):
    row = bench(f"{NETWORK} --set lr=1e30 --set epochs=5 --set optimizer=sgd")[NETWORK]
    assert row["failed"].startswith("the loss is nan in epoch")
    assert f"| `{NETWORK}` | the loss is nan in epoch" in (tmp_path / "page.md").read_text()


def test_batches_of_the_device_are_those_of_the_loader(bench, frames):
    from camvid_data import Batches, Device, ResidentSplit

    data, augmentation = CamVid(frames), Augmentation((16, 24), color=0.2)
    preprocessing = Preprocessing((0.4, 0.4, 0.5), (0.2, 0.25, 0.3))
    split = ResidentSplit(data, "train", torch.device("cpu"))
    how = {"batch": 2, "accumulate": 1, "seed": 3, "targets": ("presence",)}
    made = Batches(split, preprocessing, augmentation, Device(torch.device("cpu")), **how)
    samples = FittedSamples(data, data.splits["train"], preprocessing)
    loader = SegmentationData(samples, samples, augmentation, **how).train_dataloader()
    assert len(made) == len(loader) == 4
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for ours, theirs in zip(made.of_epoch(epoch), loader, strict=True):
            assert ours.keys == theirs.keys
            assert torch.equal(ours.label, theirs.label)
            assert torch.equal(ours.targets["presence"], theirs.targets["presence"])
            assert (ours.image - theirs.image).abs().max() < 3 / (255 * 0.2)  # bytes are rounded there
    assert [batch.keys for batch in made.of_epoch(1, first=2)] == [batch.keys for batch in made.of_epoch(1)][2:]


def test_the_page_shows_the_results(bench):
    import camvid_table

    results = json.loads((REPOSITORY / "benchmarks/results/camvid.json").read_text(encoding="utf-8"))
    assert camvid_table.tables(results) in (REPOSITORY / "docs/bench.md").read_text(encoding="utf-8")
