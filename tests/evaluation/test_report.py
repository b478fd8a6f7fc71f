import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from intarsia.core import ClassSpace, LabelMap
from intarsia.evaluation import ImageScore, ScoreRefused, evaluate, keys_to_show, write_report

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
        result=evaluate(shifted, stripes),
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
    assert all(address.startswith(("data:", "#")) for address in checked.addresses)
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
    assert "mean over 3 of 4 classes" in text
    assert "No weights for the encoder." in text
    assert "car taken for road" in re.sub(r"\s+", " ", text)
    assert 'intarsia train "a & b" --epochs 3' in text


def test_what_a_user_wrote_is_escaped(page) -> None:
    assert "unet on &lt;stripes&gt;" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<img src=x>" not in page


def test_examples_are_ranked_and_their_pictures_open(page) -> None:
    order = [page.index(f"</span>{key} <small>") for key in ("val/5", "val/4", "val/0", "test/0")]
    assert order == sorted(order)
    assert page.index("<h2>Worst images") < order[0] < order[2] < page.index("<h2>Images") < order[3]
    sources = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', page)
    assert len(sources) == 4 * 4
    sizes = {Image.open(io.BytesIO(base64.b64decode(data))).size for _, data in sources}
    assert sizes == {(640, 384)}, "enlarged 32 times, so that each pixel stays a square"


def test_pictures_of_masks_keep_their_colours(page, stripes) -> None:
    truth = re.findall(r'alt="truth of [^"]*" [^>]*src="data:image/png;base64,([^"]+)"', page)[0]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(truth))).convert("RGB"))
    found = {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0).tolist()}
    assert {stripes.classes.classes[i].color for i in range(3)} <= found


def test_a_page_with_nothing_but_a_title(tmp_path) -> None:
    text = write_report(tmp_path / "r.html", title="empty", command="").read_text(encoding="utf-8")
    assert Checked(text)
    assert "<section" not in text
    assert "<nav" not in text
    assert "$" not in text


def test_one_image_has_no_interval(tmp_path, stripes, shifted) -> None:
    evaluation = evaluate(shifted, stripes, split="test")
    text = write_report(tmp_path / "r.html", title="one", command="x", result=evaluation).read_text(encoding="utf-8")
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
    text = write_report(tmp_path / "r.html", title="many", command="x", result=evaluate(shifted, stripes)).read_text()
    assert "<b>c0</b> taken for <b>c59</b> 100.0%" in text
    assert 'class="matrix"' not in text
    assert text.count('class="barred"') == 60


def test_the_worst_twelve_are_shown_and_four_of_the_best(stripes, shifted, monkeypatch) -> None:
    evaluation = evaluate(shifted, stripes)
    scores = {f"val/{i}": ImageScore(i / 20, 1) for i in range(20)}
    keys = keys_to_show(replace(evaluation, per_image=scores))
    assert keys == [f"val/{i}" for i in (*range(12), 19, 18, 17, 16)]
    assert keys_to_show(evaluation) == list(evaluation.ranking)


def test_recall_by_size_is_shown_with_its_number_of_segments(page) -> None:
    row = re.search(r"car</th>(.*?)</tr>", page[page.index('<section id="sizes">') :])
    cells = re.findall(r"<td([^>]*)>(.*?)</td>", row[1])
    assert cells == [
        (' class="none"', "none there"),
        (' style="--share:1.000"', "100% <small>of 1</small>"),
        (' style="--share:0.400"', "40% <small>of 5</small>"),
    ]


def test_a_refused_score_is_said_and_nothing_looks_like_one(tmp_path, stripes, shifted) -> None:
    refused = ScoreRefused("No score is given. Only 3% <of> the pixels.", "unet", "stripes", "val")
    text = write_report(
        tmp_path / "r.html",
        title="refused",
        command="x",
        result=refused,
        examples=[example(stripes, shifted, "val/5")],
        history=[{"epoch": e, "train/loss": 1 / (e + 1), "val/miou": 0.1 * e} for e in range(4)],
    ).read_text()
    assert Checked(text)
    assert "No score is given. Only 3% &lt;of&gt; the pixels." in text
    assert "mIoU" not in text
    assert "val/miou" not in text
    assert "train/loss" in text
    assert text.count("<img") == 4


def test_warnings_stand_above_the_scores(tmp_path, stripes, shifted) -> None:
    evaluation = replace(evaluate(shifted, stripes), warnings=("Only 3% of the pixels.",))
    text = write_report(tmp_path / "r.html", title="t", command="x", result=evaluation).read_text()
    assert text.index("These scores mean less than they seem to") < text.index("Only 3% of the pixels.") < text.index(">mIoU<")


def test_what_was_found_about_the_data_is_shown(tmp_path) -> None:
    names = [f"{i}.png" for i in range(9)]
    findings = [
        {"severity": "warning", "code": "rare-class", "message": "boat is 0.01% <b>", "files": names, "fix": None},
        {"severity": "error", "message": "RGB masks", "fix": 'classes = ["a"]'},
    ]
    text = write_report(tmp_path / "r.html", title="t", command="", findings=findings).read_text()
    assert Checked(text)
    assert "boat is 0.01% &lt;b&gt;" in text
    assert "5.png and 3 more" in text
    assert text.count('class="notes alarm"') == 1
    assert "classes = [&quot;a&quot;]</pre>" in text
    text = write_report(tmp_path / "r.html", title="t", command="", findings=[]).read_text()
    assert "The data were checked; nothing is wrong with them." in text


def test_a_file_that_is_there_is_replaced_whole(tmp_path, monkeypatch) -> None:
    path = tmp_path / "r.html"
    path.write_text("the old report")
    monkeypatch.setattr(type(path), "write_text", lambda *a, **k: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_report(path, title="t", command="")
    assert path.read_bytes() == b"the old report"
    assert list(tmp_path.iterdir()) == [path]
