"""The part of doctor that runs in a process of its own, run here in this one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants

from intarsia.workflow import trial


@pytest.fixture
def pieces(capsys):
    def run(*arguments):
        trial.main(arguments)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def of(found, name):
    return [piece[name] for piece in found if name in piece]


def test_a_short_training_learns_and_is_the_same_twice():
    first, second = (trial.train_briefly("cpu", epochs=3) for _ in range(2))
    assert first["losses"] == second["losses"]
    assert len(first["losses"]) == first["epochs"] == 3
    assert first["losses"][-1] < first["losses"][0] - 0.1
    assert first["images_per_second"] == pytest.approx(3 * 32 / first["seconds"], rel=0.05)


def test_it_says_what_torch_is_and_that_an_unknown_device_is_not_there(pieces, monkeypatch):
    monkeypatch.setattr(trial, "train_briefly", lambda device: {"device": device})
    found = pieces("numpy", "pillow", "--device", "abacus")
    (devices,) = of(found, "devices")
    assert devices["threads"] >= 1
    assert devices["kernels"].isupper()
    assert "The device 'abacus' cannot be used here" in of(found, "fault")[0]
    assert of(found, "training") == [{"device": "cpu"}]
    assert of(found, "doing") == ["importing numpy", "importing pillow", "asking torch for devices", "training on cpu"]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            "CUDA error: no kernel image is available for execution on the device",
            "does not know this GPU: a newer GPU needs a newer",
        ),
        ("CUDA out of memory. Tried to allocate 2 GB", "Another program probably holds the memory of the GPU; nvidia-smi shows"),
        ("cannot cache function 'f': no locator available for file", "set NUMBA_CACHE_DIR to one that can be written"),
        ("cuDNN error", "Until that is mended, train with --device cpu"),
    ],
)
def test_where_the_gpu_fails_the_processor_is_tried(error, advice, pieces, monkeypatch):
    def train(device):
        if device == "cuda":
            raise RuntimeError(error)
        return {"device": device}

    monkeypatch.setattr(trial, "_candidates", lambda asked: ["cuda", "cpu"])
    monkeypatch.setattr(trial, "train_briefly", train)
    found = pieces()
    (fault,) = of(found, "fault")
    assert fault.startswith(f"Training on cuda failed: RuntimeError: {error}")
    assert advice in fault
    assert of(found, "training") == [{"device": "cpu"}]


def test_a_failure_on_the_processor_is_to_be_reported(pieces, monkeypatch):
    def train(device):
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr(trial, "train_briefly", train)
    (fault,) = of(pieces("--device", "cpu"), "fault")
    assert fault == "Training on cpu failed: ZeroDivisionError: division by zero. Please report this."


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_the_hub_is_asked_only_when_told_to(pieces, monkeypatch):
    monkeypatch.setattr(trial, "train_briefly", lambda device: {})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        assert of(pieces("--hub"), "hub") == [None]
        monkeypatch.setattr(constants, "ENDPOINT", f"{address}/missing")
        assert of(pieces("--hub"), "hub") == [None]  # an answer all the same
        server.shutdown()
    (trouble,) = of(pieces("--hub"), "hub")
    assert "The hub does not answer (URLError" in trouble
    assert "--encoder-weights none" in trouble
    assert of(pieces(), "hub") == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in of(pieces("--hub"), "hub")[0]
