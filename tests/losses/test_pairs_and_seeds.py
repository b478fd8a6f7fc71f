import math

import pytest
import torch
from torch import Tensor

from intarsia.core import Output, SegmentationError, SettingsError
from intarsia.losses.pairs_and_seeds import pair_loss, pairs_and_seeds_loss, sample_of_each, seed_class

BANDWIDTHS = torch.tensor([0.25, 0.9])


def output_of(embedding: Tensor, things: int = 2) -> Output:
    generator = torch.Generator().manual_seed(0)
    n, _, h, w = embedding.shape
    scores = torch.randn(n, 2 * (things + 1), h, w, generator=generator, dtype=embedding.dtype)
    return Output(embedding, parts={"seed_scores": scores, "bandwidths": BANDWIDTHS})


def halves() -> tuple[Tensor, dict[str, Tensor]]:
    """An object of class 2 on the left of 4 x 6 pixels, one of class 1 on the right, background between, a pixel unknown."""
    ids = torch.tensor([[1, 1, 0, 0, 2, 2]], dtype=torch.int32).repeat(4, 1)
    label = torch.tensor([[2, 2, 0, 0, 1, 1]], dtype=torch.uint8).repeat(4, 1)
    ids[0, 0], label[0, 0] = -1, 255
    return ids, {"object_ids": ids[None], "thing_label": label[None]}


def test_pairs_by_hand() -> None:
    """Two pixels of one object, one of another: places 0, 1 and 3 on a line."""
    vectors, ids = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([4, 4, 7])

    def sigma(distance: float) -> float:
        return 2 / (1 + math.exp(distance))

    alike = 2 * math.log(sigma(1)) / 16  # weights 1 / (2 * 2 * 2^2), both orders
    unlike = 2 * (math.log(1 - sigma(9)) + math.log(1 - sigma(4))) / 8
    assert pair_loss(vectors, ids).item() == pytest.approx(-alike - unlike, rel=1e-5)


def test_pairs_equal_a_slow_loop_whose_weights_sum_to_one() -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    ids = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 5])
    total = weights = 0.0
    for p in range(9):
        for q in range(9):
            weight = 1 / (int((ids == ids[p]).sum()) * int((ids == ids[q]).sum()) * 4**2)
            alike = 2 / (1 + math.exp(float((vectors[p] - vectors[q]).square().sum())))
            total -= weight * math.log(alike if ids[p] == ids[q] else 1 - alike)
            weights += weight
    assert weights == pytest.approx(1)
    assert pair_loss(vectors, ids).item() == pytest.approx(total)


def test_pairs_are_least_where_objects_are_points_far_apart() -> None:
    ids = torch.arange(4).repeat_interleave(5)
    points = 10.0 * torch.eye(4)[ids]
    assert pair_loss(points, ids).item() == pytest.approx(0, abs=1e-6)
    generator = torch.Generator().manual_seed(0)
    for size in (0.01, 1.0):
        assert pair_loss(points + size * torch.randn(20, 4, generator=generator), ids) > 1e-6
    assert pair_loss(torch.zeros(20, 4), ids).isfinite()
    assert pair_loss(torch.zeros(20, 4), torch.zeros(20)).item() == 0
    assert pair_loss(1e4 * points, ids).item() == 0


def test_a_large_object_weighs_as_a_small_one() -> None:
    """Doubling the pixels of an object changes nothing."""
    generator = torch.Generator().manual_seed(2)
    vectors, ids = torch.randn(4, 3, generator=generator), torch.tensor([0, 0, 1, 1])
    more = torch.tensor([0, 1, 0, 1, 2, 3])
    assert pair_loss(vectors[more], ids[more]).item() == pytest.approx(pair_loss(vectors, ids).item(), rel=1e-5)


def test_sample_of_each() -> None:
    ids = torch.tensor([-1] * 50 + [0] * 100 + [1] * 3 + [2] * 30)[torch.randperm(183)]
    drawn = sample_of_each(ids, 10)
    assert len(drawn.unique()) == len(drawn)
    assert ids[drawn].bincount().tolist() == [10, 3, 10]
    assert set(sample_of_each(ids, 10).tolist()) != set(drawn.tolist())
    assert len(sample_of_each(torch.full((4,), -1), 10)) == 0
    crowd = torch.arange(1500).repeat_interleave(5)
    assert sample_of_each(crowd, 10).shape == (3000,)  # two at least


def test_seed_class_by_hand() -> None:
    """At 0.25 (d <= log 7) the mask of a pixel of object 1 takes all of it; at 0.9 (d <= log 11/9) only half, which
    is no more than half of it; a mask that takes both objects is none's."""
    ids, targets = halves()
    label = targets["thing_label"].flatten().long().where(ids.flatten() > 0, 0)
    place = torch.tensor([0.0, 1.0, 5.0, 5.0, 9.0, 9.0]).repeat(4)[:, None]
    seed = torch.tensor([7, 8, 10])
    assert seed_class(place, seed, BANDWIDTHS, ids.flatten().long(), label).tolist() == [[2, 2], [0, 0], [1, 1]]
    ids[0, 0] = 1
    label[0] = 2
    assert seed_class(place, seed, BANDWIDTHS, ids.flatten().long(), label).tolist() == [[2, 0], [0, 0], [1, 1]]
    assert not seed_class(0 * place, seed, BANDWIDTHS, ids.flatten().long(), label).any()


def test_terms_and_their_minimum() -> None:
    ids, targets = halves()
    embedding = (20.0 * torch.eye(3))[ids.clamp(min=0).long()].permute(2, 0, 1)[None]
    label = targets["thing_label"].long().where(ids >= 0, 2)  # the unknown pixel is one of object 1
    scores = 50.0 * torch.nn.functional.one_hot(label, 3).permute(0, 3, 1, 2).repeat(1, 2, 1, 1)
    embedding[..., 0, 0] = embedding[..., 1, 0]
    parts = {"seed_scores": scores, "bandwidths": BANDWIDTHS}
    terms = pairs_and_seeds_loss(Output(embedding, parts=parts), targets)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx({"pairs": 0, "seeds": 0}, abs=1e-6)
    torch.manual_seed(0)
    wrong = pairs_and_seeds_loss(Output(embedding, parts={**parts, "seed_scores": -scores}), targets)
    torch.manual_seed(0)
    half = pairs_and_seeds_loss(Output(embedding, parts={**parts, "seed_scores": -scores}), targets, seed_weight=0.1)
    assert wrong["seeds"].item() == pytest.approx(2 * half["seeds"].item())
    assert wrong["seeds"].item() > 5
    assert list(pairs_and_seeds_loss(Output(embedding, parts=parts), targets, seed_weight=0)) == ["pairs"]


@pytest.mark.parametrize("unknown", [0, -1])
def test_images_without_objects_or_without_a_known_pixel(unknown: int) -> None:
    embedding = torch.randn(2, 3, 4, 6, requires_grad=True)
    targets = {"object_ids": torch.full((2, 4, 6), unknown), "thing_label": torch.zeros(2, 4, 6)}
    terms = pairs_and_seeds_loss(output_of(embedding), targets)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values())
    assert embedding.grad.isfinite().all()
    assert bool(embedding.grad.any()) == (unknown == 0)  # the background is one, and drawn together


def test_gradcheck() -> None:
    _, targets = halves()
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(1, 2, 4, 6, generator=generator, dtype=torch.float64, requires_grad=True)

    def terms(x: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        return tuple(pairs_and_seeds_loss(output_of(x), targets, samples=3, seeds=2).values())

    torch.autograd.gradcheck(terms, embedding)


def test_errors() -> None:
    _, targets = halves()
    output = output_of(torch.zeros(1, 3, 4, 6), things=1)
    with pytest.raises(SegmentationError, match="class of things number 2, and the network was made for 1"):
        pairs_and_seeds_loss(output, targets)
    with pytest.raises(SettingsError, match=r"draws 1 samples of each object and 10 seeds of weight 0.2"):
        pairs_and_seeds_loss(output, targets, samples=1)
