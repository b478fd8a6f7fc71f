"""Classes and splits that somebody wrote down: `intarsia.toml`, and the `data.yaml` of other tools."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w
import yaml

from intarsia.core import ClassSpace, ClassSpaceError, DataError
from intarsia.core.class_space import Source
from intarsia.data.formats._files import write_bytes

__all__ = [
    "TOML",
    "YAML",
    "block_for",
    "classes_block",
    "classes_from",
    "last_class_wins",
    "read_classes",
    "read_toml",
    "read_yaml",
    "where_to_say",
    "write_classes",
    "yaml_classes",
]

TOML = "intarsia.toml"
YAML = "data.yaml"


def read_classes(path: str | Path) -> ClassSpace:
    """The classes in an `intarsia.toml`, or in the folder that holds one.

    Raises:
        DataError: a file that is missing or no TOML.
        ClassSpaceError: no classes in it, or classes that contradict each other.
    """
    path = _toml_path(path)
    return classes_from(read_toml(path), path)


def write_classes(path: str | Path, classes: ClassSpace) -> Path:
    """Write classes to an `intarsia.toml`, or into the folder that shall hold one; other entries of the file are kept."""
    path = _toml_path(path)
    kept = read_toml(path) if path.is_file() else {}
    content = classes.to_dict() | {key: value for key, value in kept.items() if key not in classes.to_dict()}
    write_bytes(path, tomli_w.dumps(content).encode())
    return path


def classes_block(classes: ClassSpace) -> str:
    """What stands in an `intarsia.toml` to declare `classes`, a class a line, with every value written out."""
    plain = classes.to_dict()
    rows = []
    for index, entry in enumerate(plain["classes"]):
        values = entry["values"] or [index]
        thing = ", thing = true" if entry["thing"] else ""
        rows.append(
            f"    {{ name = {_string(entry['name'])}, values = {_list(values)}, color = {_list(entry['color'])}{thing} }},"
        )
    usual = 255 if len(classes) <= 255 else 65535
    lines = [] if classes.ignore_id == usual else [f"ignore_id = {classes.ignore_id}"]
    lines += [f"ignore = {_list(plain['ignore'])}"] if plain["ignore"] else []
    return "\n".join([*lines, "classes = [", *rows, "]"]) + "\n"


def block_for(classes: ClassSpace, toml: Path) -> str:
    """`classes_block` that overrules an `ignore` which stands in `toml`, also by an empty one."""
    block = classes_block(classes)
    overrules = not classes.ignore_sources and toml.is_file() and "ignore" in read_toml(toml)
    return f"ignore = []\n{block}" if overrules else block


def where_to_say(toml: Path) -> str:
    """Where such a block belongs, in a sentence that it ends."""
    replaced = "`classes`, `ignore` and `ignore_id`"
    return f"Put this in the place of {replaced} in {toml}:" if toml.is_file() else f"Say it in {toml} (`--fix` writes it):"


def _list(values: Sequence[Any]) -> str:
    return f"[{', '.join(_list(v) if isinstance(v, list) else _string(v) if isinstance(v, str) else str(v) for v in values)}]"


def _string(text: str) -> str:
    return tomli_w.dumps({"_": text}).partition("= ")[2].strip()


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        DataError: missing, or no TOML; the message gives the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}, which declares the classes.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no TOML file: {error}.") from error


def classes_from(content: Mapping[str, Any], path: Path) -> ClassSpace:
    """The classes of a declaration, with its path in the message when they contradict each other."""
    try:
        return ClassSpace.from_dict(content)
    except ClassSpaceError as error:
        raise ClassSpaceError(f"{path}: {error}") from error


def last_class_wins(content: Mapping[str, Any], path: Path) -> bool:
    """Whether `overlap = "last"` is declared: a pixel in the files of several classes belongs to the last of `classes`."""
    if "overlap" not in content:
        return False
    if content["overlap"] != "last" or "classes" not in content:
        raise DataError(
            f"{path} says overlap = {content['overlap']!r} {'beside' if 'classes' in content else 'without'} `classes`. The one "
            'rule is overlap = "last", and `classes` gives its order.'
        )
    return True


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a data.yaml.

    Raises:
        DataError: missing, no YAML, or no table.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML file: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, and a table with `train`, `val` and `names` was expected.")
    return content


def yaml_classes(content: Mapping[str, Any], path: Path) -> ClassSpace | None:
    """`names` (a list, or a table of ids) with `label_mapping` (file value to id, or to "ignore_label"); None without names."""
    names = content.get("names")
    if names is None:
        return None
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise ClassSpaceError(f"{path}: the ids of `names` are {sorted(names)[:12]}; they must run from 0 without gaps.")
        names = [names[index] for index in range(len(names))]
    classes = classes_from({"classes": [str(name) for name in names]}, path)
    mapping = content.get("label_mapping") or {}
    if not isinstance(mapping, dict) or not set(mapping.values()) <= {*range(len(classes)), "ignore_label"}:
        raise ClassSpaceError(f"{path}: `label_mapping` maps values of the masks to ids 0..{len(classes) - 1} or ignore_label.")
    entries = []
    for index, entry in enumerate(classes.classes):
        sources: tuple[Source, ...] = tuple(value for value, target in mapping.items() if target == index)
        moved = (entry.name,) if index in mapping else ()  # its own id means another class: no value of a pixel is left for it
        entries.append(replace(entry, sources=sources or moved))
    ignored = tuple(value for value, target in mapping.items() if target == "ignore_label")
    return replace(classes, classes=tuple(entries), ignore_sources=ignored)


def _toml_path(path: str | Path) -> Path:
    path = Path(path)
    return path / TOML if path.is_dir() else path
