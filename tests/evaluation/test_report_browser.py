"""The report as real Chromium shows it, without a display and without a network. Driven through its debugging pipe."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intarsia.core import ClassSpace, LabelMap, Sample
from intarsia.evaluation import evaluate, keys_to_show, write_report

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium, chromium-browser or google-chrome is installed")

SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # which root, as in a container, does not have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
PHONE, DESK = (390, 844), (1280, 900)


class Page:
    """One page of a browser. Chromium reads commands from descriptor 3 and answers on 4, each JSON and a zero byte."""

    def __init__(self, folder: Path) -> None:
        out, commands = os.pipe()
        answers, back = os.pipe()
        # A shell moves the ends to the numbers that Chromium expects, whatever they are here.
        line = f'exec 3<&{out} 4>&{back}; exec "$@"'
        arguments = [str(PROGRAM), *SWITCHES, f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", line, "bash", *arguments], pass_fds=(out, back), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(out)
        os.close(back)
        self.commands, self.answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self.number, self.rest, self.session, self.events = 0, b"", None, []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while (answer := self._read()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            chunk = os.read(self.answers.fileno(), 1 << 16)
            if not chunk:
                raise RuntimeError("Chromium has ended")
            self.rest += chunk
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, size: tuple[int, int], scheme: str) -> None:
        """Load a file in a window of that size, on a machine set to "light" or "dark"."""
        self("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=size == PHONE)
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def run(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        done = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"])
        return done["result"]["value"]

    def complaints(self) -> list[Any]:
        """Errors and warnings of the console, exceptions, and requests for anything but the file and what lies in it."""
        found = []
        for event in self.events:
            method, said = event.get("method"), event.get("params", {})
            if method == "Network.requestWillBeSent" and not said["request"]["url"].startswith(("file:", "data:")):
                found.append(said["request"]["url"])
            elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
                found.append(said)
        return found

    def close(self) -> None:
        self.commands.close()
        self.answers.close()
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Page]:
    page = Page(tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


HISTORY = [{"epoch": e, "train/loss": 2 / e, "val/loss": 3 / e, "val/miou": 1 - 1 / e, "lr": 0.1 / e} for e in range(1, 9)]
FINDINGS = [
    {"severity": "warning", "code": "absent-class", "message": "The class boat is in no image of val.", "files": ["a.png"] * 9},
    {"severity": "error", "code": "values", "message": "m" * 200, "files": [], "fix": "[[classes]]\nname = 'boat' " + "x" * 200},
]


@pytest.fixture
def report(tmp_path, stripes, shifted) -> Path:
    evaluation = evaluate(shifted, stripes)
    samples = [stripes.read(key) for key in keys_to_show(evaluation)]
    return write_report(
        tmp_path / "report.html",
        title="shifted on a data set with a very long name " + "n" * 120,
        command="intarsia train " + "long/" * 60,
        result=evaluation,
        examples=[(s.key, s.image, s.truth, shifted.predict(s.image)) for s in samples],
        history=HISTORY,
        findings=FINDINGS,
        settings={"a setting": "value " * 40, "options": "v" * 200},
        environment={"torch": "2.15"},
    )


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_whole_on_its_own_and_fits(browser, report, size, scheme) -> None:
    browser.open(report, size, scheme)
    pictures = browser.run("Promise.all([...document.images].map(i => i.decode().then(() => [i.naturalWidth, i.alt])))")
    assert len(pictures) == 6 * 4
    assert all(width > 0 and alt for width, alt in pictures)
    assert browser.run("innerWidth") == size[0]
    assert browser.run("document.documentElement.scrollWidth") <= size[0], "the page scrolls sideways"
    assert browser.complaints() == []


def test_the_curves_are_drawn(browser, report) -> None:
    browser.open(report, DESK, "light")
    boxes = browser.run(
        "[...document.querySelectorAll('svg.chart polyline')].map(line => {const box = line.getBoundingClientRect();"
        " return [line.points.length, box.width, box.height, getComputedStyle(line).stroke]})"
    )
    assert len(boxes) == 4
    assert all(points == len(HISTORY) and width > 200 and height > 50 for points, width, height, _ in boxes)
    assert "none" not in {stroke for *_, stroke in boxes}


CONTRASTS = """
(() => {
  const parse = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      layers.push(c.length < 4 ? [...c, 1] : c);
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((under, c) => under.map((v, i) => v * (1 - c[3]) + c[i] * c[3]), [255, 255, 255]);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim()) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e.closest('svg') ? style.fill : style.color)), light(behind(e))];
    found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), walk.currentNode.data.trim(), e.tagName, e.className]);
  }
  return found.sort((x, y) => x[0] - y[0]);
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(browser, report, scheme) -> None:
    browser.open(report, DESK, scheme)
    contrasts = browser.run(CONTRASTS)
    assert len(contrasts) > 100
    assert contrasts[0][0] >= 4.5, contrasts[:5]  # WCAG 2.2, level AA
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 120) == (scheme == "dark")


def test_a_table_says_what_its_rows_and_columns_are(browser, report) -> None:
    browser.open(report, DESK, "light")
    assert browser.run("[...document.querySelectorAll('th')].filter(t => !t.scope).length") == 0
    assert browser.run("document.querySelectorAll('table').length") == 5
    links = browser.run("[...document.querySelectorAll('nav a')].map(a => document.querySelector(a.hash) !== null)")
    assert len(links) >= 7
    assert all(links)


def test_a_picture_grows_when_it_is_chosen(browser, report) -> None:
    browser.open(report, DESK, "light")
    widths = browser.run(
        "(() => {let f = document.querySelector('.pictures figure'), w = () => f.querySelector('img').clientWidth, a = w();"
        " f.focus(); return [a, w()]})()"
    )
    assert widths[1] > 2 * widths[0]


def test_a_matrix_is_as_wide_as_its_classes_need(browser, tmp_path, stripes, shifted, monkeypatch) -> None:
    cells = {}
    for count in (2, 30):
        classes = ClassSpace.from_names([f"a class {i}" for i in range(count)])
        truth = LabelMap((np.arange(240).reshape(12, 20) % count).astype(np.uint8), classes)
        prediction = LabelMap(np.roll(truth.ids, 1, axis=1), classes)
        sample = Sample(np.zeros((12, 20, 3), np.uint8), (truth,), "a")
        monkeypatch.setattr(stripes, "read", lambda key, sample=sample: sample)
        monkeypatch.setattr(shifted, "predict", lambda image, prediction=prediction: prediction)
        path = write_report(tmp_path / "report.html", title="t", command="c", result=evaluate(shifted, stripes))
        browser.open(path, DESK, "light")
        assert browser.run("document.documentElement.scrollWidth") <= DESK[0]
        box = browser.run("(b => [b.scrollWidth, b.clientWidth])(document.querySelector('.matrix').parentElement)")
        assert box[0] <= box[1], "the matrix is cut off"
        cells[count] = browser.run("document.querySelector('.matrix tbody td').clientWidth")
    assert cells[2] > 50
    assert cells[30] > 20
