import torch
from torchvision.models.segmentation.fcn import FCNHead

from intarsia.models.parts.fcn_head import fcn_head


def test_it_is_torchvisions() -> None:
    torch.manual_seed(0)
    own, theirs = fcn_head(32, 3).eval(), FCNHead(32, 3).eval()
    own.load_state_dict(dict(zip(own.state_dict(), theirs.state_dict().values(), strict=True)))
    feature = torch.randn(2, 32, 5, 7)
    assert torch.equal(own(feature), theirs(feature))
    assert own[1].p == theirs[3].p == 0.1
    assert fcn_head(32, 3, dropout=0.5)[1].p == 0.5
