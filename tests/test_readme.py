"""What the README shows does what it says."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from intarsia.core import ClassSpace

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_the_ten_lines_of_python_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) <= 10
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "mask.png").exists()
    assert (tmp_path / "runs/first/report.html").exists()
    assert "'sky'" in capsys.readouterr().out


def test_the_figures_about_the_demo_are_those_of_its_recipe():
    from intarsia.data.datasets import open_dataset
    from intarsia.recipes import load_recipe

    learnt_from = len(open_dataset(load_recipe("demo").data).splits["train"])
    assert f"{learnt_from} others in about three minutes" in README


def test_the_class_declaration_is_understood():
    (text,) = blocks("toml")
    space = ClassSpace.from_dict(tomllib.loads(text))
    assert space.names == ("background", "cell")
    assert space.id_of_source == {0: 0, 255: 1, 128: 255}


def test_every_command_shown_has_the_options_shown():
    import typer.main

    from intarsia.cli.app import app

    commands = typer.main.get_command(app).commands
    shown = [shlex.split(line) for block in blocks("") for line in block.splitlines() if line.startswith("intarsia ")]
    assert len(shown) >= 3
    for _, name, *rest in shown:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_links_lead_to_files():
    root = Path(__file__).resolve().parents[1]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (root / target).exists(), target


@pytest.mark.parametrize("page", ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"])
def test_the_pages_a_stranger_looks_for_are_there(page):
    assert (Path(__file__).resolve().parents[1] / page).stat().st_size > 500
