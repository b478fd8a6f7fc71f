import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intarsia.core import DataError, SettingsError
from intarsia.data.datasets import DATASETS, open_dataset
from intarsia.data.datasets.camvid import CamVid
from intarsia.data.datasets.folder import Folder
from intarsia.data.datasets.scenes import Scenes
from intarsia.data.formats import write_image
from intarsia.data.stats import fingerprint


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    for stem in "abcdefgh":
        write_image(tmp_path / "cells" / "images" / f"{stem}.png", np.zeros((3, 4, 1), np.uint8))
        write_image(tmp_path / "cells" / "masks" / f"{stem}.png", np.eye(3, 4, dtype=np.uint8) * 255)
    return tmp_path / "cells"


def test_a_path_is_a_folder(cells: Path) -> None:
    for source in (cells, str(cells), f"folder:{cells}"):
        data = open_dataset(source)
        assert (data.name, data.task, data.classes.names) == ("cells", "semantic", ("background", "foreground"))
        assert data.splits == Folder(cells, seed=0).splits


def test_known_data_is_recognised(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("camvid")
    for source in (root, str(root), f"camvid:{root}"):
        assert type(open_dataset(source)).__name__ == "CamVid"
    assert open_dataset(shared_data("nuclei"), view="instance").task == "instance"


def test_a_folder_may_be_called_like_a_data_set(cells: Path, small_camvid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cells.parent)
    cells.rename("camvid")
    assert isinstance(open_dataset("camvid"), Folder)  # whatever lies there
    Path("camvid").rename("scenes")
    assert isinstance(open_dataset("scenes"), Scenes)  # a generated one needs no folder
    assert isinstance(open_dataset("./scenes"), Folder)
    small_camvid.rename("camvid")
    assert isinstance(open_dataset("camvid"), CamVid)


def test_every_data_set_travels_to_another_process(
    cells: Path,
    small_camvid: Path,
    small_coco: Path,
    city: Path,
    small_voc: Path,
    small_ade: Path,
    small_coco_stuff: Path,
    request: pytest.FixtureRequest,
) -> None:
    sources = {
        "ade20k": f"ade20k:{small_ade}",
        "annotations": f"annotations:{small_coco}/annotations/instances_train2017.json",
        "bodies": "bodies:train=1,val=1",
        "camvid": f"camvid:{small_camvid}",
        "cityscapes": f"cityscapes:{city}",
        "coco": f"coco:{small_coco}",
        "coco_stuff": f"coco_stuff:{small_coco_stuff}",
        "folder": f"folder:{cells}",
        "sbd": f"sbd:{small_voc}/benchmark_RELEASE",
        "scenes": "scenes:train=1,val=1,size=32",
        "voc": f"voc:{small_voc}",
    }
    fixtures = {
        "camvid_full": "full_camvid",
        "dsb2018": "small_dsb",
        "isbi": "small_stack",
        "kitti": "small_kitti",
        "mapillary": "small_vistas",
        "oxford_pet": "small_pets",
    }
    sources |= {name: f"{name}:{request.getfixturevalue(fixture)}" for name, fixture in fixtures.items()}
    assert sorted(sources) == sorted(DATASETS.names)
    for source in sources.values():
        data = open_dataset(source)
        back = pickle.loads(pickle.dumps(data))
        assert (back.name, back.task, back.classes, back.notes) == (data.name, data.task, data.classes, data.notes)
        assert back.splits == data.splits
        assert fingerprint(back) == fingerprint(data)


def test_options_reach_a_generated_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Generated:
        @staticmethod
        def from_options(options: dict[str, str], view: str | None) -> str:
            seen.append((options, view))
            return "opened"

    monkeypatch.setattr(DATASETS, "load", lambda name: Generated)
    name = DATASETS.names[-1]
    assert open_dataset(name) == "opened"
    assert open_dataset(f"{name}:train=400, size=96x128", view="panoptic") == "opened"
    assert seen == [({}, None), ({"train": "400", "size": "96x128"}, "panoptic")]
    for text, said in (
        ("400", "the option '400' is not KEY=VALUE"),
        ("a=1,a=2", "the option a is given twice"),
        ("=3", "not KEY=VALUE"),
    ):
        with pytest.raises(SettingsError, match=said):
            open_dataset(f"{name}:{text}")


def test_errors_give_the_nearest(cells: Path) -> None:
    with pytest.raises(
        DataError, match=r"neither a path nor a name\. Did you mean '.*cells'\? Named data sets: .*annotations, .*camvid, "
    ):
        open_dataset(cells.parent / "cell")
    with pytest.raises(DataError, match="Did you mean 'camvid'"):
        open_dataset("camvd:data/x")
    with pytest.raises(SettingsError, match="camvid lies in a folder: say which, as in camvid:path/to/camvid"):
        open_dataset("camvid")


def test_opening_does_not_import_torch() -> None:
    code = "import sys, intarsia.data.datasets.folder, intarsia.data.stats; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
