"""What a project can do with its LLM beside labelling: look at its quality, record it, compare, propose."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llm_al import registry
from llm_al.annotators.terminal import Terminal
from llm_al.assembly import Assembly
from llm_al.disagreements import disagreements, known_labels
from llm_al.explore import Overview, explore, namer
from llm_al.formats.llm_runs import write_llm_runs
from llm_al.llm_assembly import replay_file
from llm_al.llm_choice import ChoiceStep, choose, read_answers_of_runs
from llm_al.llm_quality import llm_quality
from llm_al.llm_status import LLMStatus
from llm_al.loop import Loop
from llm_al.proposals import (
    Descriptions,
    Gaps,
    accepted_descriptions,
    accepted_rules,
    propose_descriptions,
    propose_rules,
)
from llm_al.protocols import Annotator, Progress
from llm_al.recording import human_labels, recorded_rows
from llm_al.reports.explore import write_page
from llm_al.store.lock import ProjectLock
from llm_al.types import Annotation, Split

if TYPE_CHECKING:
    from llm_al.llm_tasks import LLMTasks

__all__ = ["LLMTools"]


@dataclass(frozen=True)
class LLMTools:
    """Reached as `project.llm`.

    Parameters
    ----------
    assembly : Assembly
        Settings, store and folder of the project.
    loop : callable
        Returns the loop over the project, for reading.
    """

    assembly: Assembly
    loop: Callable[[], Loop]

    def quality(self) -> LLMStatus:
        """Return how right each LLM annotator is and how honest its confidence, by people's random audits."""
        return LLMStatus(llm_quality(self.loop().situation), tuple(self.assembly.store.spending()))

    def record(self, path: str | Path) -> int:
        """Write every LLM answer of the project to a file that `llm.replay` reads; return the number of examples.

        Parameters
        ----------
        path : path
            Ends in ``.jsonl`` or ``.jsonl.gz``; written whole or not at all.
        """
        labels, store = self.assembly.scheme.names, self.assembly.store
        consensus = registry.make("consensus", "one_coin", labels=labels)
        return write_llm_runs(recorded_rows(store, labels, consensus), Path(path))

    def choose(
        self,
        *,
        max_labels: int = 50,
        confidence: float = 0.9,
        runs: str | Path | None = None,
        annotator: str = "human:me",
    ) -> Iterator[ChoiceStep]:
        """Find the run (model and prompt) that labels best; ask about the texts that tell the runs apart.

        Answers are stored as ordinary labels of people, and labels that people gave before are used first. A
        simulated person of the settings answers at once, otherwise a person is asked in the terminal.

        Parameters
        ----------
        max_labels : int
            New answers at most.
        confidence : float
            Certainty of the best at which to stop, in (0, 1]; see `evaluation.coda.lead_certainty`.
        runs : path, optional
            Recorded answers about texts of the pool, in place of the answers in the store.
        annotator : str
            Who answers in the terminal.

        Yields
        ------
        ChoiceStep
            Before the first question, and after each answer.

        Raises
        ------
        DataError
            If there are fewer than two runs, or they have no text in common.
        """
        labels, store = self.assembly.scheme.names, self.assembly.store
        annotations = store.annotations()
        known = human_labels(annotations, registry.make("consensus", "one_coin", labels=labels))
        candidates = read_answers_of_runs(annotations if runs is None else self._recorded(Path(runs)), labels)
        ask = _Ask(self.assembly, annotator)
        yield from choose(candidates, known, ask, max_labels=max_labels, confidence=confidence)

    def _recorded(self, path: Path) -> Iterable[Annotation]:
        settings = self.assembly.config.llm
        options = settings.options if settings.annotator == "replay" else {}
        replay = replay_file(path, self.assembly.scheme, **options)
        for examples in self.assembly.store.iter_examples(Split.POOL):
            yield from replay.annotate(examples)

    def describe(self) -> Descriptions:
        """Let the LLM describe each label from what people have labelled; writes `proposals/descriptions.yaml`.

        Raises
        ------
        ConfigError
            If the project has no chat annotator.
        DataError
            If people have labelled nothing yet.
        """
        tasks, situation = self._tasks(), self.loop().situation
        known = known_labels(situation, seed=self.assembly.config.seed)
        return propose_descriptions(tasks, self.assembly.scheme, known, self.assembly.folder)

    def accept_descriptions(self, names: Sequence[str]) -> list[str]:
        """Put proposed descriptions into `project.yaml`; return what happened, one line each."""
        with ProjectLock(self.assembly.folder):
            return accepted_descriptions(self.assembly.folder, names)

    def critique(self) -> Gaps:
        """Let the LLM find what the guidelines leave open; writes `proposals/guidelines.md`.

        Raises
        ------
        ConfigError
            If the project has no chat annotator.
        """
        tasks, situation = self._tasks(), self.loop().situation
        cases = disagreements(situation, number=len(self.assembly.store.round_records()))
        return propose_rules(tasks, cases, self.assembly.folder)

    def accept_rules(self, numbers: Sequence[str]) -> list[str]:
        """Append proposed rules to the guidelines; return what happened, one line each."""
        with ProjectLock(self.assembly.folder):
            return accepted_rules(self.assembly.folder, self.assembly.config.guidelines, numbers)

    def explore(
        self, n_clusters: int = 12, *, use_llm: bool = True, progress: Progress = lambda _what, _done, _total: None
    ) -> Overview:
        """Group the pool and name the groups: by the LLM where the project has a chat annotator, else by keywords."""
        is_chat = use_llm and self.assembly.config.llm.annotator == "chat"
        before = self.assembly.store.spent_nanousd()
        found = explore(
            self.assembly.corpus(progress),
            n_clusters,
            project=self.assembly.config.name,
            seed=self.assembly.config.seed,
            name=namer(self._tasks()) if is_chat else None,
        )
        return replace(found, cost_nanousd=self.assembly.store.spent_nanousd() - before)

    def write_overview(self, overview: Overview, path: Path | None = None) -> Path:
        """Write what `explore` found as one HTML page, `explore.html` by default; return its path."""
        path = path or self.assembly.folder / "explore.html"
        write_page(overview.to_dict(), path)
        return path

    def _tasks(self) -> "LLMTasks":
        return self.assembly.tasks().at_round(len(self.assembly.store.round_records()))

    def keep_record(self) -> None:
        """Write the file that the setting `llm.record` names, if it names one."""
        if self.assembly.config.llm.record is not None:
            self.record(self.assembly.folder / self.assembly.config.llm.record)


@dataclass(frozen=True)
class _Ask:
    """Asks one person about one example and stores the answer."""

    assembly: Assembly
    annotator: str

    def __call__(self, example_id: str) -> str | None:
        """Return the label; None when the person leaves."""
        store, is_waiting = self.assembly.store, self.assembly.config.human.annotator in ("queue", "terminal")
        person: Annotator = Terminal(self.assembly.scheme, name=self.annotator) if is_waiting else self.assembly.human()
        state = store.current_round()
        for answer in person.annotate(store.examples_by_id([example_id])):
            store.answer(replace(answer, round=state.number if state else 0))
            return answer.label
        return None
