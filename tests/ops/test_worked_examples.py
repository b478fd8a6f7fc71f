"""The worked examples of docs/operators.md: the numbers of its pictures against numbers worked out by hand."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from intarsia.ops.convolution_matrix import convolution_matrix
from intarsia.ops.dilated_convolution import dilate_kernel, stacked_fields
from intarsia.ops.linear_convolution import linear_per_position
from intarsia.ops.resize import resize_bicubic
from intarsia.ops.roi_align import roi_align
from intarsia.ops.roi_pool import roi_pool
from intarsia.ops.transposed_convolution import paste_kernels

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOUR_ROWS = [[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]]
FIVE_ROWS = [[first + 0.5 * step for step in range(5)] for first in (1, 2.5, 4, 5.5, 7)]


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS))
    import operator_examples

    return operator_examples


def test_unpooling(examples: Any) -> None:
    maps = examples.unpooling()
    assert maps["nearest"].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert maps["bed of nails"].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


def test_max_unpooling(examples: Any) -> None:
    maps = examples.max_unpooling()
    assert maps["pooled"].tolist() == [[5, 6], [7, 8]]
    assert maps["unpooled"].tolist() == [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]


@pytest.mark.parametrize(("name", "rows"), [("half-pixel", FOUR_ROWS), ("aligned", FIVE_ROWS)])
def test_bilinear_and_the_same_by_a_transposed_convolution(examples: Any, name: str, rows: list[list[float]]) -> None:
    maps = examples.bilinear()
    assert maps[name].tolist() == rows
    assert maps[f"{name}, transposed"].tolist() == rows


def test_bicubic_weighs_four_neighbours_per_axis() -> None:
    line = torch.eye(9).reshape(9, 1, 1, 9)
    assert (resize_bicubic(line, (1, 18)) != 0).sum(0).flatten()[5:13].tolist() == [4] * 8


@pytest.mark.parametrize(
    ("stride", "convolved", "transposed"),
    [
        (1, "ay+bz ax+by+cz bx+cy+dz cx+dy", "ax ay+bx az+by+cx bz+cy+dx cz+dy dz"),
        (2, "ay+bz bx+cy+dz", "ax ay az+bx by bz 0"),
    ],
)
def test_a_signal_as_a_matrix(examples: Any, stride: int, convolved: str, transposed: str) -> None:
    assert [entry.replace(" ", "") for entry in examples.convolved(stride)] == convolved.split()
    assert [entry.replace(" ", "") for entry in examples.transposed(stride)] == transposed.split()


def test_at_stride_1_a_transposed_convolution_is_a_convolution_and_at_2_it_is_not(examples: Any) -> None:
    turned = convolution_matrix(torch.tensor([[[3.0, 2.0, 1.0]]]), [4], padding=2)
    assert torch.equal(examples.signal_matrix(1).T, turned)

    def constant_diagonals(matrix: Tensor) -> bool:
        return all(matrix.diagonal(offset).unique().numel() == 1 for offset in range(1 - len(matrix), matrix.shape[1]))

    assert constant_diagonals(turned)  # as of every convolution at stride 1
    assert not constant_diagonals(examples.signal_matrix(2).T)


def test_maps_as_matrices(examples: Any) -> None:
    maps = examples.map_matrices()
    assert {name: f"{len(matrix)} x {matrix.shape[1]}" for name, matrix in maps.items()} == {name: name for name in maps}
    assert torch.equal(maps["16 x 4"], maps["4 x 16"].T)
    assert maps["4 x 16"][0].tolist() == [1, 4, 1, 0, 1, 4, 3, 0, 3, 3, 1, 0, 0, 0, 0, 0]
    x, weight = torch.randn(1, 1, 5, 5), examples.KERNEL[None, None]
    torch.testing.assert_close(maps["9 x 25"] @ x.flatten(), F.conv2d(x, weight, stride=2, padding=1).flatten())
    y = torch.randn(1, 1, 3, 3)
    back = F.conv_transpose2d(y, weight, stride=2, padding=1)
    torch.testing.assert_close(maps["9 x 25"].T @ y.flatten(), back.flatten())
    assert back.shape[2:] == (5, 5)


def test_pasting_and_fractional_stride(examples: Any) -> None:
    *_, result = examples.pasting()
    by_hand = torch.zeros(5, 5)
    for row, column, value in ((0, 0, 1), (0, 2, 2), (2, 0, 3), (2, 2, 4)):
        by_hand[row : row + 3, column : column + 3] += value * examples.KERNEL
    maps = examples.fractional()
    for found in (result, maps["result"], maps["by the operator"]):
        assert torch.equal(found, by_hand)


def test_transposed_convolution_of_2x2_makes_5x5_or_4x4(examples: Any) -> None:
    x, weight = examples.TWO[None, None], examples.KERNEL[None, None]
    assert paste_kernels(x, weight, stride=2).shape[2:] == (5, 5)
    assert paste_kernels(x, weight, stride=2, padding=1, output_padding=1).shape[2:] == (4, 4)


def test_the_checkerboard_and_its_remedies(examples: Any) -> None:
    uneven, even, resized = examples.overlaps().values()
    assert uneven[3:7, 3:7].tolist() == [[1, 2, 1, 2], [2, 4, 2, 4], [1, 2, 1, 2], [2, 4, 2, 4]]
    assert even[2:-2, 2:-2].unique().tolist() == [4]
    assert resized.unique().tolist() == [9]


def test_a_1x1_convolution_is_a_linear_layer_at_each_of_64x64_positions_of_192_channels() -> None:
    x, linear = torch.randn(1, 192, 64, 64), nn.Linear(192, 8)
    everywhere = linear(x.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(linear_per_position(x, linear.weight, linear.bias), everywhere, rtol=1e-4, atol=1e-5)


def test_dilated_fields(examples: Any) -> None:
    assert stacked_fields((1, 2, 4)) == [3, 7, 15]
    for side, ways in zip((3, 7, 15), examples.dilated(), strict=True):
        rows = ways.any(1).nonzero()[:, 0]
        assert (int(rows.min()), int(rows.max())) == (7 - side // 2, 7 + side // 2)
        assert int((ways > 0).sum()) == side * side  # without a gap
    sides = examples.fields()
    assert sides["plain"] == sides["plain, followed"] == [1 + 2 * layers for layers in range(1, 6)]
    assert sides["dilated"] == sides["dilated, followed"] == [3, 7, 15, 31, 63]
    covering = dilate_kernel(torch.ones(1, 1, 3, 3), 2)
    assert covering.shape[2:] == (5, 5)
    assert covering.sum() == 9


@pytest.mark.parametrize(
    ("output_stride", "strides", "rates"),
    [
        (32, (2, 2, 2), ([1] * 4, [1] * 6, [1] * 3)),
        (16, (2, 2, 1), ([1] * 4, [1] * 6, [1, 2, 2])),
        (8, (2, 1, 1), ([1] * 4, [1, *[2] * 5], [2, 4, 4])),
    ],
)
def test_a_dilated_backbone(examples: Any, output_stride: int, strides: tuple[int, ...], rates: tuple[list[int], ...]) -> None:
    stages = examples.backbone(output_stride)
    assert tuple(stage[0][0] for stage in stages) == strides
    assert tuple([rate for _, rate in stage] for stage in stages) == rates


def test_roi_pool_snaps_and_roi_align_does_not() -> None:
    ramp = (torch.arange(16.0) + 0.5).expand(1, 1, 16, 16)
    boxes = torch.tensor([[0, 4.6, 4, 9.2, 9], [0, 5.4, 4, 8.6, 9]])
    pooled = roi_pool(ramp, boxes, (2, 2))
    assert torch.equal(pooled[0], pooled[1])  # both are columns 5 to 9
    aligned = roi_align(ramp, boxes, (1, 2))[:, 0, 0]
    torch.testing.assert_close(aligned, torch.tensor([[5.75, 8.05], [6.2, 7.8]]))  # middles of the halves
    largest = roi_align(ramp, boxes, (1, 2), reduce="max")[:, 0, 0]
    torch.testing.assert_close(largest, torch.tensor([[6.325, 8.625], [6.6, 8.2]]))  # three quarters into each


def test_the_effective_field_lies_within_the_theoretical_one_and_is_smaller(examples: Any) -> None:
    share = examples.effective()
    assert float(share[5:26, 5:26].sum()) == pytest.approx(1, abs=1e-5)
    assert float(share[10:21, 10:21].sum()) > 0.75  # in a quarter of the area


def test_the_page_shows_every_picture_and_each_is_drawn_at_its_size(examples: Any, tmp_path: Path) -> None:
    import operator_pictures

    operator_pictures.main(tmp_path)
    drawn, kept = ({path.name: shape(path) for path in folder.iterdir()} for folder in (tmp_path, DOCS / "images" / "operators"))
    assert drawn == kept
    assert {name: frames for name, (_, frames) in drawn.items() if frames > 1} == {"pasting.webp": 5, "dilated.webp": 4}
    shown = re.findall(r"\(images/operators/([^)]*)\)", (DOCS / "operators.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(drawn)


def shape(path: Path) -> tuple[tuple[int, int], int]:
    with Image.open(path) as image:
        return image.size, getattr(image, "n_frames", 1)


def test_the_code_on_the_page_runs() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "operators.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, "operators.md", "exec"), {})
