import torch

from intarsia.ops.local_contrast import normalize_local_contrast


def test_equals_a_loop_over_windows() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 9, 7, dtype=torch.float64) * torch.tensor([1.0, 50.0])[:, None, None] + 3
    found = normalize_local_contrast(x, 5)
    for channel in range(2):
        centred, deviation = torch.zeros(9, 7), torch.zeros(9, 7)
        for values in (x[0, channel], None):
            source = values if values is not None else centred**2
            for i in range(9):
                for j in range(7):
                    rows = [min(abs(i + s), 16 - abs(i + s)) for s in range(-2, 3)]
                    columns = [min(abs(j + s), 12 - abs(j + s)) for s in range(-2, 3)]
                    mean = source[rows][:, columns].mean()
                    if values is not None:
                        centred[i, j] = values[i, j] - mean
                    else:
                        deviation[i, j] = mean**0.5
        expected = centred / deviation.clamp_min(deviation.mean())
        torch.testing.assert_close(found[0, channel].float(), expected, rtol=1e-4, atol=1e-5)


def test_brightness_and_contrast_do_not_matter() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 40, 30)
    torch.testing.assert_close(normalize_local_contrast(5 * x + 7), normalize_local_contrast(x), rtol=1e-3, atol=1e-4)
    assert 0.5 < normalize_local_contrast(x).std() < 1.1


def test_flat_images_and_single_pixels_are_zero() -> None:
    for size in ((20, 20), (1, 1), (3, 1)):
        found = normalize_local_contrast(torch.full((1, 2, *size), 4.0))
        assert found.abs().max() < 1e-3


def test_gradient() -> None:
    x = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: normalize_local_contrast(x, 3), x)
    flat = torch.ones(1, 1, 4, 4, requires_grad=True)
    normalize_local_contrast(flat, 3).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
