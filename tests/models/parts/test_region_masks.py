import numpy as np
import torch

from intarsia.models.parts.region_masks import grid_overlap, masks_in_boxes


def scene() -> torch.Tensor:
    rows, columns = np.mgrid[:40, :48]
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 < 150
    return torch.from_numpy(np.stack([disc, (rows > 5) & (columns > 30)]).astype(np.uint8))


def test_cells_of_whole_pixels_are_counted_exactly() -> None:
    masks = scene()
    boxes = torch.tensor([[8.0, 8, 29, 29], [8, 5, 29, 26], [4, 2, 46, 23]])
    place = torch.tensor([0, 0, 1])
    covered = masks_in_boxes(masks, place, boxes, 21)
    torch.testing.assert_close(covered[:2], torch.stack([masks[0, 8:29, 8:29], masks[0, 5:26, 8:29]]).float())
    wide = masks[1, 2:23, 4:46].float().view(21, 21, 2).mean(2)  # cells of 1 x 2 pixels
    torch.testing.assert_close(covered[2], wide)


def test_overlap_equals_that_of_full_masks() -> None:
    """Grids are pasted cell by cell into the image, and pixels are counted; of what lies outside of the box too."""
    masks = scene()
    boxes = torch.tensor([[10.0, 12, 31, 33], [6, 4, 48, 25], [20, 0, 41, 21]])
    place = torch.tensor([0, 1, 0])
    grid = torch.rand(3, 21, 21, generator=torch.Generator().manual_seed(0)) < 0.6
    covered = masks_in_boxes(masks, place, boxes, 21)
    found = grid_overlap(grid, covered, boxes, masks.sum((1, 2)).float()[place])
    for row, (x0, y0, x1, y1) in enumerate(boxes.int().tolist()):
        full = np.zeros((40, 48), bool)
        step_y, step_x = (y1 - y0) // 21, (x1 - x0) // 21
        full[y0:y1, x0:x1] = np.kron(grid[row].numpy(), np.ones((step_y, step_x), bool))
        truth = masks[place[row]].numpy().astype(bool)
        np.testing.assert_allclose(found[row].item(), (full & truth).sum() / (full | truth).sum(), rtol=1e-5)


def test_an_empty_grid_and_no_box() -> None:
    masks = scene()
    box = torch.tensor([[8.0, 8, 29, 29]])
    covered = masks_in_boxes(masks, torch.tensor([0]), box, 21)
    assert grid_overlap(torch.zeros(1, 21, 21, dtype=torch.bool), covered, box, torch.tensor([400.0])).tolist() == [0]
    nothing = masks_in_boxes(masks[:0], torch.zeros(0, dtype=torch.int64), box[:0], 21)
    assert nothing.shape == (0, 21, 21)
    assert grid_overlap(nothing > 0, nothing, box[:0], torch.zeros(0)).shape == (0,)
