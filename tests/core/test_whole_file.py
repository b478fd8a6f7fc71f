import os
from pathlib import Path

import pytest

from intarsia.core.whole_file import remove_partial_files, written_whole


def test_the_new_file_is_seen_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_whole(path) as partial:
        partial.write_text("ne")
        assert path.read_text() == "old"
        partial.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_content_reaches_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    """A rename that the disk learns of before the content would leave an empty file after a power cut."""
    events = []
    flush, replace = os.fsync, os.replace

    def noted_flush(descriptor):
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    def noted_replace(source, target):
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_flush)
    monkeypatch.setattr(os, "replace", noted_replace)
    with written_whole(tmp_path / "a.txt") as partial:
        partial.write_text("new")
    assert events == [partial.name, "replace", tmp_path.name]


def test_a_failure_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with written_whole(path) as partial:
            partial.write_text("ne")
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_leaves_behind_is_removed_and_nothing_else(tmp_path):
    kept = {".hidden", "a.part", "b.txt"}
    for name in (*kept, ".a.txt.17.part"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
