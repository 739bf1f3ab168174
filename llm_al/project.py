"""A project is a folder: settings, a store, caches, students, exports and a report."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_al.assembly import Assembly
from llm_al.config import ProjectConfig, load_config, validate_config
from llm_al.creation import (
    CONFIG_NAME,
    GUIDELINES_NAME,
    Columns,
    add_texts,
    build_folder,
    make_config,
    read_guidelines,
)
from llm_al.errors import ConfigError, DataError, NotFittedError
from llm_al.forecast import Forecast, forecast
from llm_al.formats.export import ExportRow, write
from llm_al.formats.read import open_rows
from llm_al.label_rows import LabelRows
from llm_al.llm_tools import LLMTools
from llm_al.loop import Loop
from llm_al.notes import Notes
from llm_al.people.workplace import Workplace
from llm_al.plan import RoundOutcome
from llm_al.prediction import Predictor
from llm_al.protocols import Annotator, FittedStudent, Progress
from llm_al.status import Status, explain
from llm_al.store.lock import ProjectLock
from llm_al.store.store import SqlStore
from llm_al.types import LabelScheme, Source, Split

if TYPE_CHECKING:
    from llm_al.distillation.report import DistilReport

__all__ = ["Columns", "Project"]


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


class Project(Workplace):
    """Open or create a project, run it, and take what it made.

    Use `create` or `open`. Nothing is held in memory that the folder does not have.

    Attributes
    ----------
    folder : Path
    config : ProjectConfig
    store : SqlStore
    notes : list of str
        What happened that a user may want to know: skipped rows, caches made again.
    """

    def __init__(self, folder: Path, config: ProjectConfig, store: SqlStore) -> None:
        self.folder = folder
        self.config = config
        self.store = store
        self.notes: list[str] = Notes()

    @classmethod
    def create(
        cls,
        folder: str | Path,
        *,
        texts: str | Path | Iterable[Any],
        labels: str | Path | Sequence[Any] | Mapping[str, str],
        test: str | Path | Iterable[Any] | None = None,
        guidelines: str | Path | None = None,
        columns: Columns | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Project":
        """Make a project folder.

        Parameters
        ----------
        folder : path
            Made if need be; must not be a project.
        texts : path or iterable
            CSV, TSV, JSON Lines, Parquet, plain text, a saved dataset, or strings or mappings.
        labels : path, sequence or mapping
            Names, or names with descriptions.
        test : path or iterable, optional
            Labelled examples to measure on; never learned from.
        guidelines : path, optional
            The page for annotators.
        columns : Columns, optional
        settings : mapping, optional
            Sections of `project.yaml` that differ from the defaults.

        Raises
        ------
        LLMALError
            If anything is wrong; the folder is then as it was.
        """
        folder = Path(folder)
        config = make_config(folder, labels, settings)
        page = read_guidelines(Path(guidelines)) if guidelines is not None else None
        notes: list[str] = []
        with build_folder(folder, config, page) as aside, SqlStore(aside / "project.db") as store:
            for source, split in ((texts, Split.POOL), (test, Split.TEST)):
                if source is not None:
                    where = Path(source) if isinstance(source, str) else source
                    given = columns or Columns()
                    lines = add_texts(store, where, scheme=config.scheme(), split=split, columns=given)
                    notes += [f"{split}: {line}" for line in lines]
        project = cls.open(folder)
        project.notes += notes
        return project

    @classmethod
    def open(cls, folder: str | Path) -> "Project":
        """Open a project folder.

        Raises
        ------
        ConfigError
            If it is no project, or its settings are wrong.
        StoreError
            If its database cannot be used.
        """
        folder = Path(folder)
        if not (folder / CONFIG_NAME).exists():
            raise ConfigError(
                f"{folder} is no project (it has no {CONFIG_NAME}); create one with: llm-al init {folder}"
            )
        config = load_config(folder / CONFIG_NAME)
        return cls(folder, config, SqlStore(config.store or folder / "project.db"))

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Project({str(self.folder)!r})"

    @cached_property
    def scheme(self) -> LabelScheme:
        """The labels with the guidelines page."""
        name = self.config.guidelines
        page = self.folder / (name or GUIDELINES_NAME)
        return self.config.scheme(read_guidelines(page) if name and page.exists() else "")

    def add(
        self, texts: str | Path | Iterable[Any], *, test: bool = False, columns: Columns | None = None
    ) -> list[str]:
        """Add more texts, all or nothing; return what happened, one line each."""
        source = Path(texts) if isinstance(texts, str) else texts
        split = Split.TEST if test else Split.POOL
        with ProjectLock(self.folder):
            return add_texts(self.store, source, scheme=self.scheme, split=split, columns=columns or Columns())

    def run(
        self,
        *,
        max_human_labels: int | None = None,
        max_usd: float | None = None,
        max_rounds: int | None = None,
        annotator: Annotator | None = None,
        llm: Annotator | None = None,
        progress: Progress | None = None,
    ) -> Iterator[RoundOutcome]:
        """Run rounds, yielding after each, until a stopping rule holds or people have to answer.

        Parameters
        ----------
        max_human_labels, max_usd, max_rounds : optional
            Replace the budgets of `project.yaml` for this run.
        annotator : Annotator, optional
            Answers in place of people (of kind human or simulated).
        llm : Annotator, optional
            Answers in place of the configured LLM (of kind llm).
        progress : callable, optional

        Raises
        ------
        ProjectLockedError
            If another process runs this project.
        ProviderError
            If the LLM server cannot be used; checked before anything is asked.
        """
        limits = {"human_labels": max_human_labels, "llm_usd": max_usd, "rounds": max_rounds}
        assembly = self._assembly({key: value for key, value in limits.items() if value is not None})
        llm = llm or assembly.llm()
        with ProjectLock(self.folder):
            self._refuse_empty_pool()
            self._check_llm(llm)
            loop = assembly.loop(progress or _quiet)
            loop.steps = replace(loop.steps, human=annotator or loop.steps.human, llm=llm)
            loop.students.remove_leftovers()
            for outcome in loop.run():
                if outcome.record is not None and loop.students.path(outcome.number).exists():
                    self._describe_student(loop, outcome.number)
                self.llm.keep_record()
                yield outcome

    def status(self) -> Status:
        """Return how far the project is."""
        state = self.store.current_round()
        records = tuple(self.store.round_records())
        number = state.number if state else len(records)
        return Status(
            name=self.config.name,
            n_pool=self.store.n_examples(Split.POOL),
            n_test=self.store.n_examples(Split.TEST),
            n_waiting=self.n_waiting(),
            max_human_labels=self.config.budget.human_labels,
            cost_nanousd=self.store.spent_nanousd(),
            cap_usd=self.config.budget.llm_usd,
            step=state.step if state else "",
            records=records,
            llm_stopped=(self.store.read_note(number, "llm_stopped") if number else None) or "",
        )

    def why(self, example_id: str) -> list[str]:
        """Return everything that was asked, answered and decided about one example."""
        return explain(self.loop().situation, example_id, self._last_round())

    def label_rows(self, sources: Sequence[str] = ("human", "llm", "pseudo")) -> Iterator[ExportRow]:
        """Yield one row a pool example, with posterior, source, annotators and round; written texts on demand only.

        Raises
        ------
        ConfigError
            If a source is unknown.
        """
        unknown = sorted(set(sources) - {str(source) for source in Source})
        if unknown:
            raise ConfigError(f"unknown source {unknown[0]!r}; choose from: human, llm, pseudo, synthetic")
        rows = LabelRows(self.loop().situation, self._last_round())
        written = rows.synthetic() if Source.SYNTHETIC in sources else ()
        return (row for row in chain(rows, written) if row.source in sources)

    def labels(self, sources: Sequence[str] = ("human", "llm", "pseudo")) -> Any:
        """Return the labels as a `datasets.Dataset`."""
        from llm_al.formats.arrow_writers import to_dataset

        return to_dataset(self.label_rows(sources))

    def export(
        self,
        target: str | Path | None = None,
        *,
        sources: Sequence[str] = ("human", "llm", "pseudo"),
        spreadsheet_safe: bool = False,
    ) -> Path:
        """Write the labels; the suffix chooses the format, a name without one is a `datasets` folder."""
        rows = self.label_rows(sources)
        if target is None:
            (self.folder / "exports").mkdir(exist_ok=True)
        path = Path(target) if target is not None else self.folder / "exports" / "labels.csv"
        write(rows, path, is_spreadsheet_safe=spreadsheet_safe)
        return path

    @property
    def student(self) -> FittedStudent:
        """The student of the last round.

        Raises
        ------
        NotFittedError
            Before the first round is finished.
        """
        self._refuse_no_student()
        return self._assembly().students().fitted(self._last_round())

    @property
    def student_folder(self) -> Path:
        """Where the student of the last round lies."""
        return self._assembly().students().path(self._last_round())

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return label and probability of each text."""
        return self._predictor().rows(texts)

    def predict_file(
        self, source: str | Path, target: str | Path | None = None, *, text_column: str | None = None
    ) -> Path:
        """Label the texts of a file, streamed; return the file that was written."""
        path = Path(target) if target is not None else Path(source).with_suffix(".labels.csv")
        predictor = self._predictor()
        write(predictor.stream(open_rows(Path(source), text_column=text_column), self.notes.append), path)
        return path

    def estimate(self) -> Forecast:
        """Price the rest of the run from the settings and the real texts; nothing is sent."""
        ordinals = self.store.ordinals(Split.POOL)
        return forecast(
            self.config,
            n_pool=len(ordinals),
            records=self.store.round_records(),
            llm=self._assembly().llm(),
            first_examples=lambda n: self.store.examples(ordinals[:n].tolist()),
        )

    def distil(self, *, progress: Progress | None = None, **options: Any) -> "DistilReport":
        """Distil the last round's students into a small one, export it to ONNX with int8 weights, and compare them.

        Nobody is asked anything, and nothing is paid for. The result lies in ``exports/distilled-<n>``.

        Parameters
        ----------
        progress : callable, optional
        options
            Fields of `distillation.settings.DistilSettings`, such as ``n_teachers=2``.

        Raises
        ------
        DataError, NotFittedError
            If the pool is empty, or no round is finished.
        MissingExtraError
            If the packages of the `onnx` extra are not installed.
        ConfigError, StudentError
            If an option is wrong, or a student cannot be trained or exported.
        """
        from llm_al.distillation.run import distil

        with ProjectLock(self.folder):
            self._refuse_empty_pool()
            self._refuse_no_student()
            return distil(self._assembly(), self._last_round(), options, progress or _quiet)

    def report(self, *, facts: Sequence[tuple[str, str]] = (), is_pseudonymous: bool = False) -> Path:
        """Write `report.html`, with numbers in place of people's names if wanted, and return its path."""
        from llm_al.report_data import read_report
        from llm_al.reports.html import write as write_html

        loop = self.loop()
        path = self.folder / "report.html"
        write_html(read_report(self.config, loop, self.store, facts=facts, is_pseudonymous=is_pseudonymous), path)
        return path

    def loop(self, progress: Progress = _quiet) -> Loop:
        """Return the loop over this project, for reading."""
        return self._assembly().loop(progress)

    @property
    def llm(self) -> LLMTools:
        """Return what the project can do with its LLM beside labelling."""
        return LLMTools(self._assembly(), self.loop)

    def _assembly(self, budget: Mapping[str, Any] | None = None) -> Assembly:
        config = self.config
        if budget:
            limits = {**config.budget.model_dump(), **budget}
            settings = {**config.model_dump(mode="json"), "budget": limits}
            config = validate_config(settings, origin="the limits of this run")
        return Assembly(self.folder, config, self.scheme, self.store, self.notes.append)

    def _describe_student(self, loop: Loop, number: int) -> None:
        from llm_al.report_data import write_model_card

        write_model_card(self.config, loop, number)

    def _predictor(self) -> Predictor:
        return Predictor(self.student, self._assembly().vectors)

    def _last_round(self) -> int:
        records = self.store.round_records()
        return records[-1].number if records else 0

    def _check_llm(self, llm: Annotator | None) -> None:
        """Let an annotator that would fail do so now, before hours go into embeddings or people's answers."""
        check, check_cap = getattr(llm, "check", None), getattr(llm, "check_cap", None)
        if check is not None:
            check()
        if check_cap is not None:
            check_cap(*self.store.examples(self.store.ordinals(Split.POOL)[:1].tolist()))

    def _refuse_no_student(self) -> None:
        if not self.student_folder.exists():
            raise NotFittedError(f"{self.folder} has no student yet; run it first: llm-al run {self.folder}")

    def _refuse_empty_pool(self) -> None:
        if not self.store.n_examples(Split.POOL):
            raise DataError(
                f"the pool of {self.folder} is empty; add texts with: llm-al add {self.folder} --texts FILE"
            )
