import torch
from torch.nn import functional as F

from intarsia.ops.corner_grid import grow_to_corner_grid
from intarsia.ops.resize import resize_bilinear


def test_sizes_by_hand() -> None:
    sizes = {1: 1, 2: 9, 9: 9, 10: 17, 713: 713, 720: 721}
    for given, grown in sizes.items():
        assert grow_to_corner_grid(torch.empty(1, 1, given, 473, device="meta"), 8).shape == (1, 1, grown, 473)


def test_the_image_is_its_top_left_part_and_the_rest_mirrors_it() -> None:
    image = torch.rand(2, 3, 6, 7)
    grown = grow_to_corner_grid(image, 8)
    assert torch.equal(grown[..., :6, :7], image)
    assert torch.equal(grown[..., 6:, :7], image[..., [4, 3, 2], :])


def test_resizing_with_aligned_corners_puts_features_back_where_they_came_from() -> None:
    """Each pixel's value is its column; three strided convolutions that take their centre, and the way back."""
    image = torch.arange(33.0).expand(1, 1, 33, 33)
    centre = F.pad(torch.ones(1, 1, 1, 1), (1, 1, 1, 1))
    x = image
    for _ in range(3):
        x = F.conv2d(x, centre, stride=2, padding=1)
    assert x[0, 0, 0].tolist() == [0, 8, 16, 24, 32]
    torch.testing.assert_close(resize_bilinear(x, (33, 33), align_corners=True), image)


def test_an_encoder_that_needs_multiples_gets_them() -> None:
    assert grow_to_corner_grid(torch.empty(1, 1, 33, 64, device="meta"), 8, divisor=32).shape == (1, 1, 64, 64)
