"""Intarsia: image segmentation, whole.

The verbs are functions of this package, each imported when it is first used, so that `import intarsia` is quick:

    run = intarsia.train("my_data", model="unet", epochs=50)
    segment = intarsia.load(run.best)
    mask = segment("photo.jpg")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from intarsia.core import ClassSpace, Instances, IntarsiaError, LabelMap, MultiLabel, Panoptic, Sample
    from intarsia.data.datasets import open_dataset
    from intarsia.inference import load
    from intarsia.models import create_model
    from intarsia.workflow.check import check
    from intarsia.workflow.convert import convert
    from intarsia.workflow.demo import demo
    from intarsia.workflow.doctor import doctor
    from intarsia.workflow.evaluate import evaluate
    from intarsia.workflow.export import export
    from intarsia.workflow.fit_region_crf import fit_region_crf
    from intarsia.workflow.import_weights import import_weights
    from intarsia.workflow.merge import merge
    from intarsia.workflow.models import list_models
    from intarsia.workflow.predict import predict
    from intarsia.workflow.report import report
    from intarsia.workflow.score import score
    from intarsia.workflow.split import split
    from intarsia.workflow.stats import stats
    from intarsia.workflow.train import train
    from intarsia.workflow.tune_crf import tune_crf

__all__ = [
    "ClassSpace",
    "Instances",
    "IntarsiaError",
    "LabelMap",
    "MultiLabel",
    "Panoptic",
    "Sample",
    "check",
    "convert",
    "create_model",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "fit_region_crf",
    "import_weights",
    "list_models",
    "load",
    "merge",
    "open_dataset",
    "predict",
    "report",
    "score",
    "split",
    "stats",
    "train",
    "tune_crf",
]

_HOMES = {
    "check": "intarsia.workflow.check",
    "convert": "intarsia.workflow.convert",
    "create_model": "intarsia.models",
    "demo": "intarsia.workflow.demo",
    "doctor": "intarsia.workflow.doctor",
    "evaluate": "intarsia.workflow.evaluate",
    "export": "intarsia.workflow.export",
    "fit_region_crf": "intarsia.workflow.fit_region_crf",
    "import_weights": "intarsia.workflow.import_weights",
    "list_models": "intarsia.workflow.models",
    "load": "intarsia.inference",
    "merge": "intarsia.workflow.merge",
    "open_dataset": "intarsia.data.datasets",
    "predict": "intarsia.workflow.predict",
    "report": "intarsia.workflow.report",
    "score": "intarsia.workflow.score",
    "split": "intarsia.workflow.split",
    "stats": "intarsia.workflow.stats",
    "train": "intarsia.workflow.train",
    "tune_crf": "intarsia.workflow.tune_crf",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'intarsia' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "intarsia.core")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
