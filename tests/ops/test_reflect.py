import numpy as np
import pytest
import torch

from intarsia.ops.reflect import crop, grow_to_multiple, reflect_border


def test_the_edge_pixel_is_not_doubled() -> None:
    row = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert reflect_border(row, top=0, bottom=0, left=2, right=1).flatten().tolist() == [3, 2, 1, 2, 3, 2]
    assert reflect_border(row, top=0, bottom=0, left=0, right=6).flatten().tolist() == [1, 2, 3, 2, 1, 2, 3, 2, 1]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (7, 4)])
@pytest.mark.parametrize("border", [(0, 0, 0, 0), (1, 2, 3, 0), (92, 95, 92, 101)])
def test_equals_numpy(size: tuple[int, int], border: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(0).random((2, 3, *size))
    top, bottom, left, right = border
    expected = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
    found = reflect_border(torch.from_numpy(image), top=top, bottom=bottom, left=left, right=right)
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize(("size", "grown"), [((32, 64), (32, 64)), ((33, 1), (48, 16)), ((5, 17), (16, 32))])
def test_growing_keeps_the_image_in_its_corner(size: tuple[int, int], grown: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    found = grow_to_multiple(image, 16)
    assert found.shape == (2, 3, *grown)
    assert torch.equal(crop(found, size), image)


def test_any_size_is_a_multiple_of_one() -> None:
    image = torch.rand(1, 1, 3, 5)
    assert grow_to_multiple(image, 1) is image


def test_crop_takes_a_view_at_an_offset() -> None:
    image = torch.arange(24.0).reshape(1, 1, 4, 6)
    window = crop(image, (2, 3), 1)
    assert window.tolist() == [[[[7, 8, 9], [13, 14, 15]]]]
    assert window.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()


def test_exports_with_any_size() -> None:
    class Grow(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return grow_to_multiple(image, 16)

    any_size = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(Grow(), (torch.rand(1, 3, 21, 40),), dynamic_shapes=(any_size,), strict=False).module()
    for size in ((16, 32), (3, 50)):
        image = torch.rand(1, 3, *size)
        assert torch.equal(program(image), grow_to_multiple(image, 16))


def test_gradient() -> None:
    image = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: reflect_border(x, top=4, bottom=0, left=1, right=9), image)
