"""Where a training writes, and whether it can."""

from pathlib import Path

from intarsia.workflow import folders
from intarsia.workflow.folders import cannot_write, needed_folders


def test_writing_is_tried(tmp_path):
    assert cannot_write(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert cannot_write(tmp_path / "file") == "cannot be written: Not a directory"
    assert cannot_write(tmp_path / "missing") == "cannot be written: No such file or directory"


def test_caches_are_where_the_libraries_look_for_them(tmp_path, monkeypatch):
    import huggingface_hub.constants
    import torch

    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    found = {name: path for name, path, _ in needed_folders()}
    assert found["torch cache"] == Path(torch.hub._get_torch_home())
    assert found["runs folder"] == Path.cwd() / "runs"
    assert found["numba cache"] == Path(folders.__file__).parents[1]
    assert str(found["hub cache"]).endswith("huggingface/hub")
    assert Path(huggingface_hub.constants.HF_HUB_CACHE).parts[-2:] == found["hub cache"].parts[-2:]
    for name in ("HF_HOME", "TORCH_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    found = {name: path for name, path, _ in needed_folders()}
    assert found["hub cache"] == tmp_path / "HF_HOME" / "hub"
    assert found["torch cache"] == tmp_path / "TORCH_HOME" == Path(torch.hub._get_torch_home())
    assert found["numba cache"] == tmp_path / "NUMBA_CACHE_DIR"


def test_a_package_that_cannot_be_written_has_its_kernels_elsewhere(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(folders, "cannot_write", lambda folder: "cannot be written: Read-only file system")
    assert {name: path for name, path, _ in needed_folders()}["numba cache"] == tmp_path / "numba"


def test_a_current_folder_that_was_deleted_is_named(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", str(gone))
    gone.rmdir()
    assert next(needed_folders())[:2] == ("current folder", gone)
