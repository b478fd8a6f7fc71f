"""Hooks of mkdocs: a page for each room of the package, and a place in the navigation for pages that nobody listed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "intarsia"
HIDDEN = ("cli",)
"""Rooms that nobody imports from."""


class DocstringLists(griffe.Extension):
    """Lists as our docstrings write them, for Markdown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = with_lists(obj.docstring.value)


def with_lists(docstring: str) -> str:
    """The indented list below "Deviations:" with blank lines around, and paragraphs of "name: meaning" as lists."""

    def spread(match: re.Match[str]) -> str:
        items = re.sub(r"^    ", "", match[2], flags=re.MULTILINE)
        return f"\n\n{match[1]}\n\n{items.rstrip()}\n\n"

    text = re.sub(r"\n+([A-Z]\w+:)\n((?: {4,}\* .*\n?(?: {6,}\S.*\n?)*)+)\n*", spread, docstring)
    return "\n\n".join(_fields(paragraph) for paragraph in text.rstrip().split("\n\n"))


def _fields(paragraph: str) -> str:
    """A list, if each line is "name: meaning" or an indented rest of the one before."""
    field = r"[a-z]\w*(?:, [a-z]\w*)*(?=: )"
    lines = paragraph.split("\n")
    if not (re.match(field, lines[0]) and all(re.match(rf"{field}|    ", line) for line in lines)):
        return paragraph
    return re.sub(rf"^({field})", r"* `\1`", paragraph, flags=re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: unlisted pages behind the listed ones of their folder, then the rooms."""
    nav: list[Any] = config.nav or []
    sections = {name: pages for entry in nav for name, pages in entry.items() if isinstance(pages, list)}
    for section, folder in (("Tutorials", "tutorials/"), ("What there is", "")):
        found = sorted(f"{folder}{path.name}" for path in (Path(config.docs_dir) / folder).glob("*.md"))
        sections[section] += [page for page in found if page not in sections[section] and page != "index.md"]
    nav.append({"Python": [{room.removeprefix("intarsia."): f"api/{room}.md"} for room, _ in _rooms()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of each room."""
    for room, folder in _rooms():
        files.append(File.generated(config, f"api/{room}.md", content=_page(room, folder)))
    return files


def _rooms() -> Iterator[tuple[str, Path]]:
    """Dotted name and folder of the package, then of every room with something public in it."""
    for init in sorted(PACKAGE.rglob("__init__.py")):
        parts = init.parent.relative_to(PACKAGE).parts
        room = ".".join(("intarsia", *parts))
        if not any(part.startswith("_") or part in HIDDEN for part in parts) and _blocks(room, init.parent):
            yield room, init.parent


def _page(room: str, folder: Path) -> str:
    """Title, the room's docstring, and what is in it."""
    intro = ast.get_docstring(_parsed(folder / "__init__.py")) or ""
    return "\n\n".join([f"# {room}", intro, *_blocks(room, folder)]) + "\n"


def _blocks(room: str, folder: Path) -> list[str]:
    """A directive of mkdocstrings for each thing that a room's `__init__` exports itself, and for each of its public files."""
    exported = _exports(folder / "__init__.py")
    if room == "intarsia":
        return ["\n".join(_entry(name, folder) for name in exported)]
    own = [f"{room}.{name}" for name in exported if _home(name, folder)[0] == room]
    files = sorted(path for path in folder.glob("*.py") if not path.stem.startswith("_") and _exports(path))
    return [f"::: {name}" for name in [*own, *(f"{room}.{path.stem}" for path in files)]]


def _entry(name: str, folder: Path) -> str:
    """A link to what the package itself offers, with the first paragraph of its docstring."""
    module, file = _home(name, folder)
    docs = [ast.get_docstring(node) for node in _parsed(file).body if getattr(node, "name", "") == name]
    return f"* [`{name}`][{module}.{name}]: " + (docs[0] or "").partition("\n\n")[0].replace("\n", " ")


def _home(name: str, folder: Path) -> tuple[str, Path]:
    """Module under which the reference has what a package exports (a public file, else the package), and where it is written."""
    module, init = ".".join(("intarsia", *folder.relative_to(PACKAGE).parts)), folder / "__init__.py"
    for node in ast.walk(_parsed(init)):
        if isinstance(node, ast.ImportFrom) and node.module and name in [alias.name for alias in node.names]:
            target = PACKAGE.joinpath(*node.module.split(".")[1:])
            if target.is_dir():
                return _home(name, target)
            return (module if target.name.startswith("_") else node.module), target.with_suffix(".py")
    return module, init


def _exports(file: Path) -> list[str]:
    """The names in a file's `__all__`."""
    for node in _parsed(file).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return []


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
