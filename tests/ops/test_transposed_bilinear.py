import pytest
import torch
from torch.nn import functional as F

from intarsia.ops.transposed_bilinear import (
    TransposedBilinear,
    bilinear_kernel,
    fill_bilinear_,
    interpolate_transposed,
    transposed_bilinear,
)


def test_kernels_by_hand() -> None:
    even, odd = torch.tensor([0.25, 0.75, 0.75, 0.25]), torch.tensor([0.5, 1.0, 0.5])
    assert torch.equal(bilinear_kernel(4), torch.outer(even, even))
    assert torch.equal(bilinear_kernel(3), torch.outer(odd, odd))
    assert bilinear_kernel(1).tolist() == [[1.0]]


@pytest.mark.parametrize("size", [4, 16, 63, 64])
def test_kernel_equals_the_formula_of_the_reference(size: int) -> None:
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    expected = [[(1 - abs(i - centre) / factor) * (1 - abs(j - centre) / factor) for j in range(size)] for i in range(size)]
    torch.testing.assert_close(bilinear_kernel(size), torch.tensor(expected))


@pytest.mark.parametrize("stride", [2, 8, 32])
def test_equals_a_dense_layer_with_bilinear_weights(stride: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    layer = torch.nn.ConvTranspose2d(3, 3, 2 * stride, stride, bias=False)
    fill_bilinear_(layer.weight)
    found = transposed_bilinear(x, stride)
    assert found.shape == (2, 3, 5 * stride, 6 * stride)
    torch.testing.assert_close(found, layer(x))
    torch.testing.assert_close(found, TransposedBilinear(stride)(x))


@pytest.mark.parametrize("stride", [2, 8])
def test_interpolates_inside_and_fades_out_at_the_border(stride: int) -> None:
    x = torch.randn(1, 2, 5, 6)
    found = transposed_bilinear(x, stride)
    inside = slice(stride, -stride)
    shifted = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    half = stride // 2  # pixel o of the transposed convolution is pixel o - stride / 2 of the interpolation
    torch.testing.assert_close(found[..., inside, inside], shifted[..., half:-half, half:-half])
    constant = transposed_bilinear(torch.ones(1, 1, 4, 4), stride)
    assert torch.allclose(constant[..., inside, inside], torch.ones(()))
    assert (constant[..., 0, :] < 1).all()


def test_an_odd_kernel_meets_the_pixels_of_the_map() -> None:
    x = torch.randn(1, 2, 5, 6)
    found = transposed_bilinear(x, 4, 7)
    assert found.shape == (1, 2, 5 * 4 + 3, 6 * 4 + 3)
    assert torch.equal(found[..., 3::4, 3::4], x)
    aligned = F.interpolate(x, size=(17, 21), mode="bilinear", align_corners=True)
    torch.testing.assert_close(found[..., 3:-3, 3:-3], aligned)
    torch.testing.assert_close(TransposedBilinear(4, 7)(x), found)


def test_frozen_upsampling_is_neither_parameter_nor_state() -> None:
    layer = TransposedBilinear(8)
    assert not list(layer.parameters())
    assert not layer.state_dict()


def test_gradient() -> None:
    x = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: transposed_bilinear(x, 2), x)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 7])
def test_interpolation_by_a_transposed_convolution_is_exact_up_to_the_border(factor: int) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear")
    torch.testing.assert_close(interpolate_transposed(x, factor), expected, rtol=0, atol=1e-6)  # the kernel is float32
    aligned = F.interpolate(x, size=(3 * factor + 1, 4 * factor + 1), mode="bilinear", align_corners=True)
    torch.testing.assert_close(interpolate_transposed(x, factor, align_corners=True), aligned, rtol=0, atol=1e-6)
    assert interpolate_transposed(x[..., :1, :1], factor).shape[-2:] == (factor, factor)
