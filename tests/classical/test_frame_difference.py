import cv2
import numpy as np
import pytest
from skimage.data import camera

from intarsia.classical._motion import camera_motion, drop_small
from intarsia.classical.frame_difference import difference, frame_difference
from intarsia.core import SettingsError

SIZE = 160, 200
PAN = np.array([[1.002, 0.01, 2.5], [-0.01, 1.001, 1.2], [1e-5, 0, 1]])


def view(step: int) -> np.ndarray:
    """(H, W) uint8, a photograph seen by a camera that turns: what is at x in one view is at PAN x in the next."""
    start = np.array([[1, 0, -100], [0, 1, -80], [0, 0, 1.0]])
    return cv2.warpPerspective(camera(), np.linalg.matrix_power(PAN, step) @ start, (SIZE[1], SIZE[0]))


def test_specks_by_hand() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], bool)
    assert np.array_equal(drop_small(mask, 2), mask), "corners touch"
    assert not drop_small(mask, 3).any()
    assert not drop_small(np.zeros((3, 3), bool), 0).any()


def test_the_motion_of_the_camera_is_found() -> None:
    found = camera_motion(view(0), view(1))
    corners = np.array([[[10, 10], [190, 10], [10, 150], [190, 150.0]]])
    assert cv2.perspectiveTransform(corners, found) == pytest.approx(cv2.perspectiveTransform(corners, PAN), abs=0.15)


def test_what_does_not_move_by_itself_does_not_differ() -> None:
    moved = difference(view(0) / np.float32(255), view(1) / np.float32(255))
    still = np.abs(view(0).astype(float) - view(1)) / 255
    assert (still > 0.04).mean() > 0.2, "without the camera's motion much would differ"
    assert (moved > 0.04).mean() < 0.02


def test_an_object_that_moves_by_itself_under_a_camera_that_turns() -> None:
    frames, inside = [], np.zeros((5, *SIZE), bool)
    for step in range(5):
        frame = view(step)
        rows, columns = slice(60, 90), slice(40 + 14 * step, 52 + 14 * step)
        frame[rows, columns] = 255 - frame[70, 100] // 2
        inside[step, rows, columns] = True
        frames.append(frame[..., None])
    masks = frame_difference(np.stack(frames))
    middle, truth = masks[1:-1], inside[1:-1]
    assert (middle & truth).sum() / truth.sum() > 0.75
    assert (middle & truth).sum() / middle.sum() > 0.8


def test_without_corners_there_is_no_camera_motion() -> None:
    assert np.array_equal(camera_motion(np.full(SIZE, 9, np.uint8), np.full(SIZE, 9, np.uint8)), np.eye(3))
    assert np.array_equal(camera_motion(np.eye(8, dtype=np.uint8) * 255, np.eye(8, dtype=np.uint8)), np.eye(3))


def test_a_still_scene_a_single_frame_and_a_column() -> None:
    assert not frame_difference(np.repeat(view(0)[None, ..., None], 3, 0)).any()
    assert not frame_difference(view(0)[None, ..., None]).any()
    column = np.zeros((3, 40, 1, 1), np.uint8)
    column[1, 5:25] = 200
    assert frame_difference(column, min_size=5, closing=0)[1, :, 0].sum() == 20


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(SettingsError, match=r"step is 0, threshold 0\.04"):
        frame_difference(np.zeros((2, 4, 4, 1), np.uint8), step=0)
