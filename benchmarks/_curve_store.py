"""Runs in a results file: added one by one, and never made twice."""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _curve import Run
from _curve_claims import claims_of
from _curve_report import sections_of
from _curve_speed import Figure
from _results import Claim, write


def _rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a results file; none if it does not exist or was written in an older form."""
    if not path.is_file():
        return []
    rows: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in rows if "protocol" in row or "figure" in row]


class Runs:
    """The runs of one folder, and the figures beside them.

    Parameters
    ----------
    folder : Path
    name : str
        Of the script.
    rows : sequence of mapping
        To begin with, as a results file holds them.
    is_shared : bool
        Whether what stands in the folder's file is kept at a write; another process may have added to it.
    """

    def __init__(
        self, folder: Path, name: str, rows: Sequence[Mapping[str, Any]] = (), *, is_shared: bool = True
    ) -> None:
        self.folder, self.name, self._is_shared = folder, name, is_shared
        self._by_key: dict[str, Run] = {}
        self._figures: dict[str, Figure] = {}
        self._take(rows)

    def _take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in the rows of a results file; what is known already stays as it is."""
        for row in rows:
            if "protocol" in row:
                run = Run.from_json(row)
                self._by_key.setdefault(run.key, run)
            else:
                figure = Figure.from_json(row)
                self._figures.setdefault(figure.claim.claim, figure)

    @classmethod
    def opened(cls, folder: Path, name: str, *, also: Iterable[Path] = (), is_fresh: bool = False) -> "Runs":
        """Read what a folder holds, and what other results files hold beside it."""
        files = [*also, *([] if is_fresh else [folder / f"{name}.json"])]
        return cls(folder, name, [row for file in files for row in _rows(file)], is_shared=not is_fresh)

    def __contains__(self, run: Run) -> bool:
        return run.key in self._by_key

    @property
    def all(self) -> list[Run]:
        """All runs, in the order in which they came."""
        return list(self._by_key.values())

    def claims(self) -> list[Claim]:
        """Return what the runs and figures can judge."""
        return [*claims_of(self.all), *(figure.claim for figure in self._figures.values())]

    def add(self, run: Run) -> None:
        """Keep a run, and write everything: a stopped benchmark keeps what it has measured."""
        self._by_key[run.key] = run
        self.write()

    def add_figure(self, figure: Figure) -> None:
        """Keep a figure in the place of an older one of that name."""
        self._figures[figure.claim.claim] = figure
        self.write()

    def write(self) -> Path:
        """Write JSON and Markdown, each in one step, and return the path of the first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._is_shared:
            self._take(_rows(self.folder / f"{self.name}.json"))
        self._is_shared = True
        figures = [figure.to_json() for figure in self._figures.values()]
        rows = [*(run.to_json() for run in self.all), *figures]
        sections = sections_of(self.all, figures)
        with tempfile.TemporaryDirectory(dir=self.folder) as fresh:
            write(Path(fresh), self.name, claims=self.claims(), rows=rows, sections=sections)
            for suffix in ("md", "json"):
                (Path(fresh) / f"{self.name}.{suffix}").replace(self.folder / f"{self.name}.{suffix}")
        return self.folder / f"{self.name}.json"
