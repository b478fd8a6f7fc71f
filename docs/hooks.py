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


class BlankLinesAroundLists(griffe.Extension):
    """Docstrings write "Deviations:" and an indented list below it; Markdown wants a blank line before both, and no indent."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = spaced(obj.docstring.value)


def spaced(docstring: str) -> str:
    """The text with its lists as Markdown wants them; other sections stay."""

    def spread(match: re.Match[str]) -> str:
        items = re.sub(r"^    ", "", match[2], flags=re.MULTILINE)
        return f"\n\n{match[1]}\n\n{items.rstrip()}\n\n"

    return re.sub(r"\n+([A-Z]\w+:)\n((?: {4,}\* .*\n?(?: {6,}\S.*\n?)*)+)\n*", spread, docstring).rstrip()


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
        return ["\n".join(f"* [`{name}`][{_home(name, folder)}]" for name in exported)]
    own = [home for name in exported if (home := f"{room}.{name}") == _home(name, folder)]
    files = sorted(path for path in folder.glob("*.py") if not path.stem.startswith("_") and _exports(path))
    return [f"::: {name}" for name in [*own, *(f"{room}.{path.stem}" for path in files)]]


def _home(name: str, folder: Path) -> str:
    """Where the reference has what a package exports: in the public file it is from, else in the package."""
    for node in ast.walk(_parsed(folder / "__init__.py")):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            parts = (node.module or "").split(".")
            target = PACKAGE.joinpath(*parts[1:])
            if target.is_dir():
                return _home(name, target)
            if not parts[-1].startswith("_"):
                return ".".join((*parts, name))
    return ".".join(("intarsia", *folder.relative_to(PACKAGE).parts, name))


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
