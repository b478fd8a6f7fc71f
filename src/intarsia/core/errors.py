"""Typed errors. Each message is a sentence: what, which file, the value found, the likely cause, what to do."""

import sys

__all__ = [
    "ClassSpaceError",
    "DataError",
    "IntarsiaError",
    "ModelFileError",
    "SegmentationError",
    "SettingsError",
    "UnknownNameError",
    "memory_ran_out",
]


class IntarsiaError(ValueError):
    """Base of every error that Intarsia raises about what it was given. The command line prints it without a traceback."""


class DataError(IntarsiaError):
    """An image, a mask or a data set that cannot be read or does not fit together."""


class ClassSpaceError(IntarsiaError):
    """A declaration of classes that contradicts itself or the values found."""


class SegmentationError(IntarsiaError):
    """A segmentation whose arrays do not fit together."""


class ModelFileError(IntarsiaError):
    """A model file that is truncated, of a newer version, or not ours."""


class SettingsError(IntarsiaError):
    """An option, a recipe or an argument that cannot be used."""


class UnknownNameError(IntarsiaError):
    """A name that no catalogue holds."""


def memory_ran_out(error: BaseException) -> bool:
    """Whether the error says that there was no memory left, of the machine or of the GPU; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in ("can't allocate memory", "Insufficient memory"))  # torch on a CPU, OpenCV
