from pathlib import Path

import pytest

from intarsia.core import DataError
from intarsia.workflow.sources import lasting_source


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    for folder in ("cells", "scenes"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    assert lasting_source("cells/") == lasting_source(Path("cells")) == str(tmp_path / "cells")
    assert lasting_source("folder:cells") == f"folder:{tmp_path / 'cells'}"
    assert lasting_source("./scenes") == lasting_source(Path("scenes")) == str(tmp_path / "scenes")
    assert lasting_source("scenes") == "scenes"
    assert lasting_source("scenes:train=4,size=64") == "scenes:train=4,size=64"
    assert lasting_source(lasting_source("folder:cells")) == lasting_source("folder:cells")
    with pytest.raises(DataError, match="There is no data set 'nothing'"):
        lasting_source("nothing")
