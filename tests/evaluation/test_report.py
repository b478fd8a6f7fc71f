import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, LabelMap
from intarsia.evaluation import evaluate, write_report

VOID = {"meta", "link", "img", "line", "circle", "polyline", "br"}


class Checked(HTMLParser):
    """Collects text and addresses, and checks that every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        if self.open:
            raise ValueError(f"left open: {self.open}")

    def handle_starttag(self, tag, attributes) -> None:
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if self.open.pop() != tag:
            raise ValueError(f"</{tag}> closes something else")

    def handle_startendtag(self, tag, attributes) -> None:
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def example(dataset, predictor, key: str):
    sample = dataset.read(key)
    return key, sample.image, sample.truth, predictor.predict(sample.image)


@pytest.fixture
def page(tmp_path, stripes, shifted) -> str:
    path = write_report(
        tmp_path / "new folder" / "report.html",
        title="unet on <stripes>",
        command='intarsia train "a & b" --epochs 3',
        evaluation=evaluate(shifted, stripes),
        examples=[example(stripes, shifted, key) for key in ("val/0", "val/5", "val/4", "test/0")],
        history=[{"epoch": e, "train/loss": 1 / (e + 1), "val/miou": 0.1 * e} for e in range(4)],
        settings={"model": "unet", "<script>alert(1)</script>": "<img src=x>"},
        notes=["No weights for the encoder."],
        environment={"torch": "2.15"},
    )
    return path.read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_nothing_from_outside(page) -> None:
    checked = Checked(page)
    assert checked.addresses
    assert all(address.startswith("data:") for address in checked.addresses)
    assert not re.search(r"url\(|@import|<script|https?://", page)


def test_the_scores_are_those_of_the_evaluation(page, stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes)
    text = "\n".join(Checked(page).text)
    assert f"{evaluation.scores.miou:.3f}" in text
    low, high = evaluation.intervals.of("miou")
    assert f"95% interval {low:.3f} to {high:.3f}" in text
    assert "95.0%" in text  # pixels scored
    for name, iou in zip(stripes.classes.names[:3], evaluation.scores.iou, strict=False):
        assert name in text
        assert f"{iou:.3f}" in text
    assert "intersection over union" in text
    assert "left out of the means: boat" in text
    assert "No weights for the encoder." in text
    assert "car taken for road" in re.sub(r"\s+", " ", text)
    assert 'intarsia train "a & b" --epochs 3' in text


def test_what_a_user_wrote_is_escaped(page) -> None:
    assert "unet on &lt;stripes&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<img src=x>" not in page


def test_examples_are_ranked_and_their_pictures_open(page) -> None:
    order = [page.index(f"<h3>{key} ") for key in ("val/5", "val/4", "val/0", "test/0")]
    assert order == sorted(order)
    assert page.index("lowest score") < order[0] < order[1] < page.index("highest score") < order[2] < order[3]
    sources = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', page)
    assert len(sources) == 4 * 4
    sizes = {Image.open(io.BytesIO(base64.b64decode(data))).size for _, data in sources}
    assert sizes == {(480, 288)}


def test_pictures_of_masks_keep_their_colours(page, stripes) -> None:
    truth = re.findall(r'alt="truth" src="data:image/png;base64,([^"]+)"', page)[0]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(truth))).convert("RGB"))
    found = {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0).tolist()}
    assert {stripes.classes.classes[i].color for i in range(3)} <= found


def test_a_page_with_nothing_but_a_title(tmp_path) -> None:
    text = write_report(tmp_path / "r.html", title="empty", command="").read_text(encoding="utf-8")
    assert Checked(text)
    assert "<section" not in text
    assert "$" not in text


def test_one_image_has_no_interval(tmp_path, stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes, split="test")
    text = write_report(tmp_path / "r.html", title="one", command="x", evaluation=evaluation).read_text(encoding="utf-8")
    assert Checked(text)
    assert "95% interval nan" not in text
    assert ">nan" not in text
    assert "No interval: it needs at least 2 images" in text
    assert "Hardly any mistakes." in text


def test_many_classes_are_told_in_words_only(tmp_path, stripes, shifted, monkeypatch) -> None:
    many = ClassSpace.from_names([f"c{i}" for i in range(60)])
    monkeypatch.setattr(
        shifted, "predict", lambda image, hints=None: LabelMap(np.full((12, 20), 59, np.uint8), many), raising=False
    )
    read = stripes.read
    monkeypatch.setattr(
        stripes,
        "read",
        lambda key: type(read(key))(read(key).image, (LabelMap(stripes.ids(key), many),), key),
    )
    text = write_report(tmp_path / "r.html", title="many", command="x", evaluation=evaluate(shifted, stripes)).read_text()
    assert "<b>c0</b> taken for <b>c59</b> 100.0%" in text
    assert 'class="matrix"' not in text
    assert text.count('class="barred"') == 60
