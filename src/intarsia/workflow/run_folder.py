"""The folder of a run: whether there is a run in it, whether it is finished, and making room for a new one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from intarsia.core import SettingsError
from intarsia.core.whole_file import remove_partial_files
from intarsia.recipes.run_files import BEST, LAST, RECIPE, REPORT, RESUME, RUN_FILES

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
    """A folder in which a training of one or more stages keeps its files; the last stage's lie in the folder itself."""

    path: Path

    def place(self, number: int, stages: int) -> Path:
        """Where stage `number`, from 0, of so many keeps its files."""
        return self.path if number == stages - 1 else self.path / f"stage-{number + 1}"

    def files(self) -> list[Path]:
        """The files of the run that are there."""
        places = (self.path, *sorted(self.path.glob("stage-*")))
        return [place / name for place in places for name in RUN_FILES if (place / name).is_file()]

    def last_models(self) -> list[Path]:
        """The last model file of each stage that has one."""
        return [file for file in self.files() if file.name == LAST]

    def holds_run(self) -> bool:
        return any(file.name in (BEST, RESUME) for file in self.files())

    def finished(self) -> bool:
        """Whether the run was trained to its end, scored and reported; the report is written last."""
        here = {file.name for file in self.files()}
        return {BEST, REPORT} <= here and RESUME not in here

    def refuse_new(self, *, overwrite: bool, inits: Iterable[str | None], recipe: str | Path | None = None) -> None:
        """Refuse a new run where it would destroy what somebody may want. Nothing is deleted here.

        Raises:
            SettingsError: a run or some file of one is there and is not to be replaced, or the new run starts from such a file:
                by its `inits`, or because its `recipe` was read from it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise SettingsError(f"{self.path} is a file; --out names a folder for the run. Choose another.")
        replaced = {file.resolve() for file in self.files()}
        if recipe is not None and Path(recipe).resolve() in replaced:
            raise SettingsError(
                f"The recipe {recipe} lies in {self.path}, where the run would replace it by its own. Choose another --out."
            )
        if not overwrite and self.holds_run():
            goes_on = not self.finished() and (self.path / RECIPE).is_file()
            unfinished = " It was interrupted: --resume goes on with it." if goes_on else ""
            raise SettingsError(
                f"There is a run in {self.path} already.{unfinished} Choose another --out, or --overwrite to replace it."
            )
        if not overwrite and replaced:
            names = ", ".join(str(file.relative_to(self.path)) for file in self.files())
            raise SettingsError(
                f"{self.path} holds no run, but files that one would replace: {names}. Choose another --out, or --overwrite to "
                "replace them."
            )
        for init in inits:
            if init is not None and Path(init).resolve() in replaced:
                raise SettingsError(
                    f"{init} belongs to the run that would be replaced by the one that starts from it. Choose another --out."
                )

    def refuse_resume(self) -> None:
        """Refuse to go on with a run that has come to its end.

        Raises:
            SettingsError: it has.
        """
        if self.finished():
            raise SettingsError(
                f"The run in {self.path} is finished; there is nothing to resume. Its model is {self.path / BEST}."
            )

    def tidy(self) -> None:
        """Delete what a killed process had not written to its end."""
        for place in (self.path, *self.path.glob("stage-*")):
            remove_partial_files(place)

    def clear(self) -> None:
        """Delete the files of the run that is there, the recipe first, without which there is none to resume; others stay."""
        self.tidy()
        for file in sorted(self.files(), key=lambda file: file.name != RECIPE):
            file.unlink()
            if file.parent != self.path:
                with suppress(OSError):  # not empty yet, or it holds something of somebody else
                    file.parent.rmdir()
