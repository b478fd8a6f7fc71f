"""Half of the package works without torch, and starts quickly because of it."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "lightning", "numba", "cv2", "scipy", "skimage")


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


@pytest.mark.parametrize(
    "code",
    [
        "import intarsia",
        "import intarsia.core",
        "import intarsia.cli.app",
        "import intarsia.workflow.train",
        "from intarsia.models import SEMANTIC; SEMANTIC.names",
        "from intarsia.workflow.models import list_models; list_models()",
    ],
)
def test_these_import_nothing_heavy(code):
    assert modules_after(code) == set()


@pytest.mark.parametrize(
    "code",
    [
        "from intarsia.data.datasets import open_dataset; d = open_dataset('scenes:train=1,val=1'); d.read(d.splits['train'][0])",
        "import intarsia.metrics.confusion, intarsia.viz.overlay, intarsia.data.stats, intarsia.recipes",
        "import numpy, intarsia; from PIL import Image; import tempfile; d = tempfile.mkdtemp()\n"
        "Image.fromarray(numpy.zeros((20, 20, 3), 'u1')).save(d + '/x.png')\n"
        "intarsia.predict([d + '/x.png'], model='slic', out=d + '/out')",
    ],
)
def test_these_do_without_torch(code):
    assert not modules_after(code) & {"torch", "torchvision", "timm", "lightning"}


def test_help_is_printed_without_torch():
    code = "import sys; sys.argv = ['intarsia', '--help']\nfrom intarsia.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert modules_after(code) == set()
