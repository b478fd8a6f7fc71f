import math

import pytest
import torch

from intarsia.ops.resize import resize_bicubic, resize_bilinear


def test_two_pixels_to_four_by_hand() -> None:
    row = torch.tensor([[[[0.0, 4.0]]]])
    # the centres of four pixels over two lie at -0.25, 0.25, 0.75 and 1.25; outside, the edge pixel holds
    assert resize_bilinear(row, (1, 4)).flatten().tolist() == [0, 1, 3, 4]
    # with aligned corners they lie at 0, 1/3, 2/3 and 1
    assert resize_bilinear(row, (1, 4), align_corners=True).flatten().tolist() == pytest.approx([0, 4 / 3, 8 / 3, 4])


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("size", "target"), [((5, 7), (12, 9)), ((6, 4), (3, 4)), ((1, 1), (4, 3)), ((3, 3), (1, 1))])
def test_equals_a_loop(size: tuple[int, int], target: tuple[int, int], align_corners: bool) -> None:
    image = torch.rand(size, dtype=torch.float64)

    def place(index: int, old: int, new: int) -> tuple[int, int, float]:
        if align_corners:
            at = index * (old - 1) / (new - 1) if new > 1 else 0.0
        else:
            at = min(max((index + 0.5) * old / new - 0.5, 0.0), old - 1.0)
        low = min(math.floor(at), old - 1)
        return low, min(low + 1, old - 1), at - low

    expected = torch.zeros(target, dtype=torch.float64)
    for row in range(target[0]):
        for column in range(target[1]):
            top, bottom, v = place(row, size[0], target[0])
            left, right, u = place(column, size[1], target[1])
            upper = (1 - u) * image[top, left] + u * image[top, right]
            lower = (1 - u) * image[bottom, left] + u * image[bottom, right]
            expected[row, column] = (1 - v) * upper + v * lower
    found = resize_bilinear(image[None, None], target, align_corners=align_corners)[0, 0]
    torch.testing.assert_close(found, expected)


def test_half_precision_is_interpolated_in_float32() -> None:
    x = torch.rand(1, 2, 5, 5).to(torch.bfloat16)
    found = resize_bilinear(x, (13, 11))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, resize_bilinear(x.float(), (13, 11)).to(torch.bfloat16))


def test_gradient() -> None:
    x = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize_bilinear(x, (5, 3)), x)


def test_bicubic_weighs_four_neighbours_by_keys_kernel() -> None:
    impulse = torch.zeros(1, 1, 1, 9)
    impulse[..., 4] = 1
    # the pixels of twice the resolution lie a quarter off the centres: distances 1.75, 1.25, 0.75, 0.25 from pixel 4
    near, far = (
        [1.25 * d**3 - 2.25 * d**2 + 1 for d in (0.25, 0.75)],
        [-0.75 * (d**3 - 5 * d**2 + 8 * d - 4) for d in (1.25, 1.75)],
    )
    expected = [far[1], far[0], near[1], near[0]]
    line = resize_bicubic(impulse, (1, 18)).flatten()
    assert line[5:9].tolist() == pytest.approx(expected)
    assert line[9:13].tolist() == pytest.approx(expected[::-1])
    assert line.count_nonzero() == 8


@pytest.mark.parametrize("align_corners", [False, True])
def test_bicubic_equals_a_loop(align_corners: bool) -> None:
    image, target = torch.rand(5, 6, dtype=torch.float64), (9, 8)

    def taps(index: int, old: int, new: int) -> list[tuple[int, float]]:
        at = index * (old - 1) / (new - 1) if align_corners else (index + 0.5) * old / new - 0.5
        base = math.floor(at)
        found = []
        for pixel in range(base - 1, base + 3):
            d = abs(at - pixel)
            weight = 1.25 * d**3 - 2.25 * d**2 + 1 if d <= 1 else -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
            found.append((min(max(pixel, 0), old - 1), weight))
        return found

    expected = torch.zeros(target, dtype=torch.float64)
    for row in range(target[0]):
        for column in range(target[1]):
            for y, v in taps(row, 5, target[0]):
                for x, u in taps(column, 6, target[1]):
                    expected[row, column] += v * u * image[y, x]
    found = resize_bicubic(image[None, None], target, align_corners=align_corners)[0, 0]
    torch.testing.assert_close(found, expected)
    assert resize_bicubic(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16), (3, 3)).dtype is torch.bfloat16
