import torch
from torch.nn import functional as F

from intarsia.ops.full_precision import full_precision


def test_float32_inside_and_half_precision_outside() -> None:
    x, weight = torch.rand(1, 2, 5, 5), torch.rand(3, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        with full_precision(x):
            inside = F.conv2d(x, weight)
        outside = F.conv2d(x, weight)
    assert (inside.dtype, outside.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(inside, F.conv2d(x, weight))


def test_does_nothing_elsewhere() -> None:
    for x in (torch.rand(1, dtype=torch.float64), torch.empty(1, device="meta")):
        with full_precision(x):
            assert (x + x).dtype == x.dtype
    assert not torch.is_autocast_enabled("cpu")
