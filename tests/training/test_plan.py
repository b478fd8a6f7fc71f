import pytest
import torch

from intarsia.core import Batch, Output, SettingsError
from intarsia.losses.cross_entropy import CrossEntropyLoss
from intarsia.recipes import Stage
from intarsia.training.plan import Cost, choose_batch, choose_sizes, decide, fit_to_budget, measure


@pytest.mark.parametrize(
    ("stage", "sizes", "fit", "crop"),
    [
        (Stage(), [(128, 128)] * 3, None, (128, 128)),
        (Stage(), [(360, 480)] * 3, None, (360, 480)),
        (Stage(), [(1024, 2048)] * 3, (512, 512), (256, 512)),
        (Stage(), [(1, 4000)], (512, 512), (1, 512)),
        (Stage(), [(256, 256), (300, 400), (520, 696)], (400, 400), (300, 400)),
        (Stage(), [(3000, 4000), (4000, 3000), (3000, 4000)], (512, 512), (384, 512)),
        (Stage(imgsz=(120, 160)), [(360, 480)], (120, 160), (120, 160)),
        (Stage(imgsz=(120, 160), crop=(96, 96)), [(360, 480)], (120, 160), (96, 96)),
        (Stage(), [(100, 80), (90, 70)], (95, 95), (95, 75)),
        (Stage(crop=(64, 64)), [(128, 128)] * 2, None, (64, 64)),
        (Stage(crop=(448, 448)), [(256, 256), (603, 1272)], None, (448, 448)),
    ],
)
def test_sizes_follow_the_data(stage, sizes, fit, crop):
    assert choose_sizes(stage, sizes) == (fit, crop)


@pytest.mark.parametrize(
    ("images", "gpu", "batch"), [(1, False, 1), (4, False, 2), (6, False, 2), (12, False, 3), (367, False, 8), (367, True, 16)]
)
def test_batch_leaves_a_few_steps_in_an_epoch(images, gpu, batch):
    assert choose_batch(images, gpu=gpu) == batch


def test_what_is_given_stays_and_the_rest_is_filled_in():
    filled = decide(Stage(lr=0.5, epochs=3, precision="32"), [(64, 64)], 40, pretrained=False, gpu=False)
    assert (filled.lr, filled.epochs, filled.batch, filled.crop, filled.precision) == (0.5, 3, 8, (64, 64), "32")
    assert decide(Stage(), [(64, 64)], 40, pretrained=False, gpu=False).lr == 1e-3
    assert decide(Stage(), [(64, 64)], 40, pretrained=False, gpu=False).epochs == 50
    assert decide(Stage(time_s=60.0), [(64, 64)], 40, pretrained=False, gpu=False).epochs is None
    assert decide(Stage(), [(64, 64)], 40, pretrained=True, gpu=False).lr == pytest.approx(1e-3 / 3)
    assert decide(Stage(optimizer="sgd"), [(64, 64)], 40, pretrained=False, gpu=False).lr == 1e-2


def test_a_time_budget_chooses_the_epochs():
    cost = Cost(step_s=2.0, validation_s=2 / 3, memory_bytes=3 << 30)
    # an epoch: 10 steps of 2 s and 3 validation batches of 2/3 s: 22 s
    assert cost.total_s(10, 3, 1) == pytest.approx(22)
    assert fit_to_budget(Stage(time_s=100.0), cost, 10, 3) == Stage(epochs=4), "the budget is gone, the choice is frozen"
    assert fit_to_budget(Stage(time_s=100.0, epochs=3), cost, 10, 3).epochs == 3
    assert fit_to_budget(Stage(time_s=1.0), cost, 10, 3).epochs == 1
    assert fit_to_budget(Stage(epochs=7), cost, 10, 3).epochs == 7
    assert cost.sentence(10, 3, 38) == "about 14 min for 38 epochs, 3.0 GB"


@pytest.mark.parametrize(("probes", "precision"), [((True, False), "bf16"), ((False, True), "bf16"), ((False, False), "32")])
def test_bfloat16_is_taken_where_the_hardware_has_it(monkeypatch, probes, precision):
    for name, answer in zip(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), probes, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
    assert decide(Stage(), [(64, 64)], 40, pretrained=False, gpu=False).precision == precision


def test_measuring_counts_all_that_a_step_takes_and_leaves_the_network_alone(monkeypatch):
    """A clock that a batch moves by 3 s and a step by 5 s."""
    now = [0.0]
    monkeypatch.setattr("intarsia.training.plan.time.perf_counter", lambda: now[0])

    class Slow(torch.nn.Conv2d):
        def forward(self, image):
            now[0] += 5
            return Output(super().forward(image))

    def batch(_step):
        now[0] += 3
        return Batch(torch.randn(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64), ("a", "b"), ((8, 8),) * 2)

    net = Slow(3, 2, 1)
    before = net.weight.clone()
    loss, stage = CrossEntropyLoss(ignore_id=255), Stage(lr=1.0, precision="32")
    alone = measure(net, loss, stage, batch, batch(0), torch.device("cpu"))
    assert (alone.step_s, alone.validation_s) == (8.0, 5.0)
    assert measure(net, loss, stage, batch, batch(0), torch.device("cpu"), workers=4).step_s == 5.0
    assert alone.memory_bytes > 0
    assert torch.equal(net.weight, before)


def test_one_value_for_a_normalisation_is_said():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.BatchNorm2d(4))
    batch = Batch(torch.rand(1, 3, 9, 7), torch.zeros(1, 9, 7, dtype=torch.int64), ("a",), ((9, 7),))
    with pytest.raises(SettingsError, match="1 image of 9 x 7 leave a normalisation of this network one value"):
        measure(model, CrossEntropyLoss(ignore_id=255), Stage(lr=0.1), lambda step: batch, batch, torch.device("cpu"))
