"""The side of a project where people work: who they are, what they are asked, what they said."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from llm_al import registry
from llm_al.assembly import Assembly
from llm_al.config import ProjectConfig
from llm_al.people.answering import ask_in_terminal, import_answers, person_name, record_answer
from llm_al.people.checks import Checks
from llm_al.people.crowd import Crowd
from llm_al.people.dashboard import Dashboard
from llm_al.people.dashboards import Dashboards, Limits
from llm_al.people.desk import Desk
from llm_al.people.review import Review
from llm_al.people.roster import Roster
from llm_al.people.suggestions import Suggestions
from llm_al.people.text import people_text
from llm_al.store.files import Artefacts
from llm_al.store.lock import ProjectLock
from llm_al.store.store import SqlStore
from llm_al.student_files import KeptPredictions
from llm_al.types import LabelScheme

__all__ = ["Workplace"]


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


class Workplace:
    """What `Project` offers to people and to pages for people."""

    folder: Path
    config: ProjectConfig
    store: SqlStore

    if TYPE_CHECKING:

        @property
        def scheme(self) -> LabelScheme:
            """The labels with the guidelines page."""

        def _assembly(self) -> Assembly: ...

    def n_waiting(self) -> int:
        """Return how many texts wait for people."""
        return len(self.store.pending())

    def label_in_terminal(self, annotator: str, *, limit: int | None = None) -> int:
        """Ask one person in the terminal, one key a text; each answer is on disk before the next is shown.

        Returns
        -------
        int
            Answers given and not taken back.
        """
        return ask_in_terminal(self.store, self.scheme, annotator, limit=limit)

    def answer(
        self, example_id: str, label: str, *, annotator: str = "human", is_suggestion_shown: bool = False
    ) -> int:
        """Record one person's answer at once and return its row id.

        Parameters
        ----------
        label : str
            A label of the list, ``none_of_these`` or ``skip``.

        Raises
        ------
        LabelError
            If the label is unknown.
        DataError
            If the example is unknown.
        """
        given = (example_id, label)
        return record_answer(
            self.store, self.scheme, given, annotator=annotator, is_suggestion_shown=is_suggestion_shown
        )

    def import_labels(self, path: str | Path, *, annotator: str = "import", is_gold: bool = False) -> int:
        """Take human labels from a file with `id` and `label`: all of it, or nothing when a row is wrong.

        Parameters
        ----------
        is_gold : bool
            The labels are settled: nobody's answer changes them, and people may be checked with them.
        """
        with ProjectLock(self.folder):
            return import_answers(self.store, self.scheme, Path(path), annotator=annotator, is_gold=is_gold)

    @cached_property
    def desk(self) -> Desk:
        """Where people are asked, several at once: questions, answers, undo, history."""
        settings, store = self.config.human, self.store
        return Desk(
            folder=self.folder,
            store=store,
            scheme=self.scheme,
            settings=settings,
            suggestions=lambda: self._suggestions(store.n_rounds_finished()),
            crowd=Crowd(store, settings, self.scheme, expertise=self._expertise),
            checks=Checks(store, settings, self.config.seed),
        )

    @cached_property
    def roster(self) -> Roster:
        """Who may come in: accounts, invitations, sessions."""
        return Roster(self.store.people)

    @cached_property
    def review(self) -> Review:
        """What a reviewer looks at, and what they settle."""
        consensus = self.config.consensus
        return Review(
            self.store,
            self.scheme,
            registry.make("consensus", consensus.name, labels=self.scheme.names, **consensus.options),
            self._suggestions,
            lambda: self._assembly().corpus(_quiet),
        )

    def dashboard(self) -> Dashboard:
        """Return how far the project is at this moment; cheap enough to ask every few seconds."""
        return self._dashboards.now()

    def people_text(self) -> str:
        """Return how people agree, how fast and how right they are, in lines of text."""
        return people_text(self.dashboard())

    @cached_property
    def _dashboards(self) -> Dashboards:
        budget = self.config.budget
        limits = Limits(budget.human_labels, budget.llm_usd)
        return Dashboards(self.config.name, self.folder, self.store, limits, self._suggestions)

    def _suggestions(self, number: int) -> Suggestions:
        # Not the students themselves: loading one takes seconds, and half a gigabyte in each worker.
        return Suggestions(self.store, KeptPredictions(Artefacts(self.folder / "cache")), self.scheme, number)

    def _expertise(self) -> dict[str, frozenset[str]]:
        return {person_name(person.name): frozenset(person.expertise) for person in self.store.people.everybody()}
