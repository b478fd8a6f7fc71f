"""What tests of hostile files share: damage that hypothesis draws, and a guard that sees what a reader opens."""

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st

from intarsia.core import IntarsiaError

SECRET = "secret.png"
"""Lies beside the folder that is read."""
VALUES = [
    *("../" + SECRET, "..\\" + SECRET, "/etc/hostname", "C:\\secret", "", ".", "\\u0000", "no such thing", "a" * 300),
    *(None, True, 0, -1, 0.5, -1e999, 1e999, float("nan"), 2**30, 2**31 + 1, 10**25, [], {}, [[[]]], [1, 2, 3], {"id": 1}),
]
TOKEN = re.compile(rb'"[^"\n]{0,300}"|(?<=>)[^<>\n]+(?=<)|-?\d+(?:\.\d+)?|true|false|null')
SECONDS, BYTES = 30, 3 * 2**30

_watched: list[tuple[str, list[str]]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event in ("open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir"):
        root, seen = _watched[-1]
        path = arguments[0]
        real = os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes) else ""
        if real.startswith(f"{Path(root).parent}{os.sep}"):
            seen.append(real)


sys.addaudithook(_watch)


def _written(value: object, old: bytes) -> bytes:
    """A value as JSON writes it, or bare where the old one stood bare between tags."""
    text = json.dumps(value).replace("\\\\u0000", "\\u0000").encode()
    return text if old[:1] == b'"' or not isinstance(value, str) or old[:1] in b"-0123456789tfn" else text.strip(b'"')


@st.composite
def _damaged(draw: st.DrawFn, data: bytes) -> bytes:
    tokens = list(TOKEN.finditer(data)) if b"\0" not in data[:64] else []
    kind = draw(st.sampled_from(["values"] * 4 * bool(tokens) + ["cut", "bytes", "bytes", "other"]))
    if kind == "cut":
        return data[: draw(st.integers(0, max(0, len(data) - 1)))]
    if kind == "other":
        return draw(
            st.sampled_from([b"{}", b"[]", b"<a/>", b"[" * 20_000, b"\x89PNG\r\n\x1a\n", b"\0" * 64, b"\xff\xfe", b"0 0 0"])
        )
    if kind == "bytes":
        changed = bytearray(data)
        for place in draw(st.lists(st.integers(0, max(0, len(data) - 1)), min_size=1, max_size=6)) if data else []:
            changed[place] = draw(st.integers(0, 255))
        return bytes(changed)
    for _ in range(draw(st.integers(1, 2))):
        found = tokens[draw(st.integers(0, len(tokens) - 1))]
        data = data[: found.start()] + _written(draw(st.sampled_from(VALUES)), found[0]) + data[found.end() :]
        tokens = list(TOKEN.finditer(data))
    return data


@pytest.fixture(scope="session")
def damaged() -> Callable[[bytes], st.SearchStrategy[bytes]]:
    """`damaged(data)` draws a file cut off, with bytes or values exchanged, or of another kind."""
    return _damaged


@pytest.fixture(scope="session")
def guarded() -> Callable[[Path], object]:
    """`with guarded(root):` lets nothing but our own errors out of the block, and no look at what lies beside the root.

    A reader that takes 30 s or 3 GB fails. What is opened in C, as by OpenCV, is not seen.
    """

    def too_slow(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    @contextmanager
    def guard(root: Path) -> Iterator[None]:
        top, seen = os.path.realpath(root), list[str]()
        before = signal.signal(signal.SIGALRM, too_slow)
        with _little_memory():
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            _watched.append((top, seen))
            try:
                with suppress(IntarsiaError):
                    yield
            finally:
                _watched.pop()
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
        assert not [path for path in seen if path != top and not path.startswith(top + os.sep)]

    return guard


@contextmanager
def _little_memory() -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
