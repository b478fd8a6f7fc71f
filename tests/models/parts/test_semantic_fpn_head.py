import pytest
import torch
from torch import Tensor

from intarsia.models.parts.semantic_fpn_head import SemanticFPNHead

STRIDES = (4, 8, 16, 32)


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_joined_at_stride_4(merge: str) -> None:
    torch.manual_seed(0)
    head = SemanticFPNHead(8, STRIDES, 5, channels=32, merge=merge)
    maps = [torch.randn(2, 8, 64 // stride, 96 // stride) for stride in STRIDES]
    branches: list[Tensor] = [branch(x, (64, 96)) for branch, x in zip(head.branches, maps, strict=True)]
    joined = torch.stack(branches).sum(0) if merge == "sum" else torch.cat(branches, 1)
    expected = torch.einsum("kc,nchw->nkhw", head.classify.weight[..., 0, 0], joined)
    torch.testing.assert_close(head(maps, (64, 96)), expected, atol=1e-4, rtol=1e-4)
    assert expected.shape == (2, 5, 16, 24)


def test_parameters_of_both() -> None:
    counts = [sum(p.numel() for p in SemanticFPNHead(256, STRIDES, 54, merge=merge).parameters()) for merge in ("sum", "concat")]
    assert counts == [1_623_808 + 129 * 54, 1_623_808 + (4 * 128 + 1) * 54]
