import cv2
import numpy as np
import pytest

import intarsia
from intarsia.core import Hints, LabelMap, SettingsError
from intarsia.data.formats import read_image, read_mask, write_image
from intarsia.data.hints_file import write_hints
from intarsia.workflow.frames import Frame, read_frames, segment_frames
from intarsia.workflow.hints import open_hints


def square_at(step: int) -> np.ndarray:
    """(48, 64, 3) uint8, a square that moves by 5 a frame."""
    image = np.full((48, 64, 3), (60, 90, 120), np.uint8)
    image[16:28, 3 + 5 * step : 15 + 5 * step] = (220, 180, 40)
    return image


@pytest.fixture
def clip(tmp_path):
    for step in range(11):  # frame 10 comes after frame 9
        write_image(tmp_path / "clip" / f"frame{step}.png", square_at(step % 9))
    return tmp_path / "clip"


def test_a_folder_is_a_sequence_in_natural_order(clip, tmp_path):
    (clip / "frame7b.png").write_bytes(b"damaged")
    rows = intarsia.predict([clip], model="running_gaussian", out=tmp_path / "out")
    assert [row.path.stem for row in rows] == [*(f"frame{n}" for n in range(8)), "frame7b", "frame8", "frame9", "frame10"]
    assert [row.error is None for row in rows] == [True] * 8 + [False] + [True] * 3
    mask = read_mask(tmp_path / "out" / "masks" / "frame5.png").ids
    assert mask.sum() == 144
    assert (mask[16:28, 28:40] == 1).all()
    assert read_image(rows[5].overlay).shape == (48, 64, 3)


@pytest.mark.parametrize("model", ["running_gaussian", "slic"])
def test_a_video_is_frames_for_any_model(model, tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for step in range(9):
        video.write(square_at(step)[..., ::-1])
    video.release()
    rows = intarsia.predict([tmp_path / "clip.avi"], model=model, out=tmp_path / "out")
    assert [row.mask.name for row in rows] == [f"{n:06d}.png" for n in range(9)]
    assert rows[3].mask.parent.name == "clip"
    if model == "running_gaussian":
        assert rows[3].areas["foreground"] == pytest.approx(144, abs=30)


def test_what_is_no_video_is_said(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video at all")
    (row,) = intarsia.predict([tmp_path / "x.mp4"], model="slic", out=tmp_path / "out")
    assert "holds no frame that OpenCV reads" in row.error


def test_long_sequences_come_in_chunks_that_overlap(tmp_path):
    calls = []

    def segment(images):
        calls.append([int(image[0, 0, 0]) for image in images])
        return [LabelMap(image[..., 0]) for image in images]

    frames = [Frame(tmp_path, str(n), tmp_path, np.full((2, 2, 1), n, np.uint8)) for n in range(20)]
    done = list(segment_frames(frames, segment, chunk_bytes=40))
    assert calls == [list(range(10)), list(range(8, 18)), list(range(16, 20))]
    assert [int(result.ids[0, 0]) for _, result in done] == list(range(20))
    assert [frame.name for frame, _ in done] == [str(n) for n in range(20)]


def test_another_folder_or_size_is_another_sequence(tmp_path):
    for name, width in (("a/1", 4), ("a/2", 4), ("a/3", 5), ("b/1", 4)):
        write_image(tmp_path / f"{name}.png", np.zeros((3, width, 3), np.uint8))
    lengths = []

    def segment(images):
        lengths.append(len(images))
        return [LabelMap(image[..., 0]) for image in images]

    (tmp_path / "b" / "0.png").write_bytes(b"damaged")
    found = [(path, path.stem) for path in tmp_path.rglob("*.png")]
    assert len(list(segment_frames(read_frames(found), segment))) == 5
    assert lengths == [2, 1, 1]


def test_hints_of_each_image_from_a_folder_and_a_box_for_all(tmp_path):
    write_image(tmp_path / "in" / "a.png", square_at(2))
    write_image(tmp_path / "in" / "b.png", square_at(6))
    for name, x in (("a", 18), ("b", 38)):
        points = Hints(points_yx=np.array([[22, x], [2, 2]]), point_class=np.array([1, 0]))
        write_hints(tmp_path / "said" / f"{name}.json", points)
    for model in ("random_walker", "scribble_graph_cut"):
        rows = intarsia.predict([tmp_path / "in"], model=model, out=tmp_path / "out", hints=tmp_path / "said")
        assert [row.areas for row in rows] == [{"background": 48 * 64 - 144, "foreground": 144}] * 2
    (row,) = intarsia.predict([tmp_path / "in" / "a.png"], model="grabcut", out=tmp_path / "out", boxes=[(8, 10, 32, 34)])
    assert row.areas["foreground"] == 144


def test_missing_hints_are_said_once_and_of_a_folder_for_each_image(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / "in" / f"{name}.png", square_at(2))
    with pytest.raises(SettingsError, match=r"^grabcut is interactive and needs hints: box .* points\. Give --box x0"):
        intarsia.predict([tmp_path / "in"], model="grabcut", out=tmp_path / "out")
    with pytest.raises(SettingsError, match=r"random_walker .*: scribbles or points, and was given box\. Give --hints FILE"):
        intarsia.predict([tmp_path / "in"], model="random_walker", out=tmp_path / "out", boxes=[(8, 10, 32, 34)])
    with pytest.raises(SettingsError, match=r"slic looks at the image alone, and hints or a box were given\. Leave them out"):
        intarsia.predict([tmp_path / "in"], model="slic", out=tmp_path / "out", boxes=[(8, 10, 32, 34)])
    assert not (tmp_path / "out").exists()
    points = Hints(points_yx=np.array([[22, 18], [2, 2]]), point_class=np.array([1, 0]))
    write_hints(tmp_path / "said" / "a.json", points)
    rows = intarsia.predict([tmp_path / "in"], model="random_walker", out=tmp_path / "out", hints=tmp_path / "said")
    assert rows[0].error is None
    assert "b.png: random_walker is interactive and needs hints" in rows[1].error


def test_a_box_joins_the_hints(tmp_path):
    both = open_hints(Hints(boxes_xyxy=np.array([[1, 2, 3, 4]])), [(5, 6, 7, 8)])(tmp_path)
    assert both is not None
    assert both.boxes_xyxy.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert open_hints()(tmp_path) is None
    assert open_hints(tmp_path)(tmp_path / "x.png") is None
    with pytest.raises(SettingsError, match=r"no hints file 'nowhere\.png'"):
        open_hints("nowhere.png")
