"""The pages fit together: every link leads somewhere, and the site is built without a warning."""

import ast
import html
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Every file of the built site by its address."""
    pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: pip install 'intarsia[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(site):
    """The built pages by address."""
    return {address: path.read_text(encoding="utf-8") for address, path in site.items() if address.endswith(".html")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_on_the_repository_page_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"(?<!`)\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / unquote(file) if file else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor and path.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_links_of_the_site_lead_somewhere(site, built):
    ids = {address: set(re.findall(r'\b(?:id|name)="([^"]+)"', text)) for address, text in built.items()}
    for address, text in built.items():
        if address == "404.html":
            continue  # it is served from any depth
        for target in re.findall(r'\b(?:href|src)="([^"]+)"', text):
            file, _, anchor = html.unescape(target).partition("#")
            if re.match(r"(https?|mailto|data):", file):
                continue
            found = os.path.normpath(Path(address).parent / unquote(file)) if file else address
            assert found in site, f"{address} links to {target}"
            assert not anchor or found not in ids or anchor in ids[found] or anchor == "__skip", f"{address} links to {target}"


def test_no_page_loads_anything_from_a_network(built):
    for address, text in built.items():
        loaded = re.findall(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]+)"', text)
        assert loaded == [], address


def test_the_first_page_leads_to_every_page(built):
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    linked = set(re.findall(r'href="([^"#]+)"', built["index.html"]))
    assert pages - linked - {"index.html"} == set()
    assert {"api/intarsia.core.html", "api/intarsia.models.semantic.html"} <= linked


def test_the_reference_holds_what_is_public_and_nothing_else(built):
    documented = {name for text in built.values() for name in re.findall(r'id="(intarsia\.[\w.]+)"', text)}
    assert not [name for name in documented if re.search(r"\._(?!_)", name)]
    package = REPOSITORY / "src" / "intarsia"
    missing = []
    for file in package.rglob("*.py"):
        parts = file.relative_to(package).with_suffix("").parts
        if parts[0] == "cli" or any(part.startswith("_") for part in parts):
            continue
        missing += [
            name for name in (".".join(("intarsia", *parts, public)) for public in exported(file)) if name not in documented
        ]
    assert missing == []


def exported(file):
    """The names in `__all__` that are functions or classes with a docstring."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    listed = [
        ast.literal_eval(node.value) for node in tree.body if getattr(getattr(node, "targets", [None])[0], "id", "") == "__all__"
    ]
    written = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(n)}
    return [name for names in listed for name in names if name in written]


def test_a_page_that_nobody_listed_finds_its_place(tmp_path, monkeypatch):
    pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: pip install 'intarsia[docs]'")
    monkeypatch.syspath_prepend(str(DOCS))
    import hooks

    (tmp_path / "tutorials").mkdir()
    for name in ("index.md", "models.md", "watersheds.md", "tutorials/train.md", "tutorials/serve.md"):
        (tmp_path / name).touch()
    nav = [{"Start": "index.md"}, {"Tutorials": ["tutorials/train.md"]}, {"What there is": ["models.md"]}]
    done = hooks.on_config(SimpleNamespace(nav=nav, docs_dir=str(tmp_path))).nav
    assert done[1] == {"Tutorials": ["tutorials/train.md", "tutorials/serve.md"]}
    assert done[2] == {"What there is": ["models.md", "watersheds.md"]}
    assert {"losses": "api/intarsia.losses.md"} in done[3]["Python"]


def test_lists_in_docstrings_become_lists(monkeypatch):
    pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: pip install 'intarsia[docs]'")
    monkeypatch.syspath_prepend(str(DOCS))
    import hooks

    written = "Source: a paper.\nDeviations:\n    * One thing,\n      in two lines.\n    * Another.\n\nMore."
    assert hooks.with_lists(written) == "Source: a paper.\n\nDeviations:\n\n* One thing,\n  in two lines.\n* Another.\n\nMore."
    for other in ("Args:\n    x: a number.", "Text\n\n    a: diagram", "idea: pooling\nloses places.", "name: "):
        assert hooks.with_lists(other) == other.rstrip()
    fields = "A batch.\n\nimage: numbers,\n    normalised.\nkey, size: of it.\n\nMore."
    assert hooks.with_lists(fields) == "A batch.\n\n* `image`: numbers,\n    normalised.\n* `key, size`: of it.\n\nMore."
