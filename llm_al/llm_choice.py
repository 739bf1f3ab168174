"""Which of several models or prompts labels best, for the fewest answers of people."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import DataError
from llm_al.evaluation.coda import ABSTAINS, Coda, lead_certainty
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind

__all__ = ["Candidates", "ChoiceStep", "choose", "read_answers_of_runs"]


@dataclass(frozen=True)
class ChoiceStep:
    """Where the choice stands after an answer.

    Parameters
    ----------
    n_labels : int
        Labels of people that the choice rests on.
    p_best : mapping of str to float
        Probability of each candidate to be the best, as CODA sees it, most likely first.
    n_right : mapping of str to int
        Labels that each candidate had right; the texts are those on which candidates disagree.
    certainty : float
        How certain it is that the first is better than all others, see `evaluation.coda.lead_certainty`.
    example_id, label : str
        What was asked and answered last; empty before the first question.
    advice : str
        The settings that the best candidate stands for, as lines of `project.yaml`.
    """

    n_labels: int
    p_best: Mapping[str, float]
    n_right: Mapping[str, int]
    certainty: float
    example_id: str = ""
    label: str = ""
    advice: str = ""

    @property
    def best(self) -> str:
        """The most likely candidate."""
        return next(iter(self.p_best))


@dataclass(frozen=True)
class Candidates:
    """What each run says about the examples that all of them answered.

    Parameters
    ----------
    runs : tuple of str, length h
    settings : mapping of str to (model, prompt)
        What each run stands for, where it is known.
    ids : tuple of str, length n
    said : ndarray of shape (h, n), int64
        Class index, c for `none_of_these`, `ABSTAINS` for no valid answer.
    labels : tuple of str
        The scheme, c of them.
    """

    runs: tuple[str, ...]
    settings: Mapping[str, tuple[str | None, str | None]]
    ids: tuple[str, ...]
    said: NDArray[np.int64]
    labels: tuple[str, ...]

    def code(self, label: str | None) -> int:
        """Return the class index of a label, `ABSTAINS` for none."""
        outcomes = (*self.labels, NONE_OF_THESE)
        return outcomes.index(label) if label in outcomes else ABSTAINS

    def advice(self, run: str) -> str:
        """Return the settings of a run as lines of `project.yaml`."""
        model, prompt = self.settings[run]
        if model is None or prompt is None:
            return f"llm: {{options: {{runs: [{run!r}]}}}}"
        return f"llm: {{model: {model!r}, prompts: [{prompt!r}]}}"


def read_answers_of_runs(annotations: Iterable[Annotation], labels: Sequence[str]) -> Candidates:
    """Return what the runs of LLMs say about the examples that every one of them answered.

    Of several answers of a run to one example the last counts.

    Raises
    ------
    DataError
        If there are fewer than two runs, or no example that all of them answered.
    """
    latest: dict[str, dict[str, str | None]] = {}
    settings: dict[str, tuple[str | None, str | None]] = {}
    for answer in annotations:
        if answer.kind is AnnotatorKind.LLM:
            latest.setdefault(answer.example_id, {})[answer.source] = answer.label
            settings[answer.source] = answer.model, answer.prompt
    runs = tuple(settings)
    if len(runs) < 2:
        raise DataError(
            f"there is nothing to choose from: {len(runs)} run has answered so far ({', '.join(runs) or 'none'}); run "
            "the project with several prompts or an llm.panel, or name a file of recorded answers with --runs"
        )
    ids = tuple(id_ for id_, given in latest.items() if len(given) == len(runs))
    if not ids:
        raise DataError(f"no text was answered by all of {', '.join(runs)}; let them answer the same texts")
    empty = Candidates(runs, settings, ids, np.zeros((0, 0), dtype=np.int64), tuple(labels))
    said = np.array([[empty.code(latest[id_][run]) for id_ in ids] for run in runs], dtype=np.int64)
    return Candidates(runs, settings, ids, said, tuple(labels))


def choose(
    candidates: Candidates,
    known: Mapping[str, str],
    ask: Callable[[str], str | None],
    *,
    max_labels: int,
    confidence: float,
) -> Iterator[ChoiceStep]:
    """Yield the standing before the first question and after each answer.

    Ends when the best is certain enough, after `max_labels` answers, when no text can tell the candidates apart any
    more, or when nobody answers.

    Parameters
    ----------
    candidates : Candidates
    known : mapping of str to str
        Example id -> label that people gave before; used first, free of charge.
    ask : callable
        Example id -> a person's label (also ``skip``); None ends the questions.
    max_labels : int
        New answers at most.
    confidence : float
        Certainty at which to stop.
    """
    race = _Race(candidates)
    for known_id, known_label in known.items():
        race.learn(known_id, known_label)
    step = race.standing()
    yield step
    for _ in range(max_labels):
        item = race.coda.next_item()
        if item is None or step.certainty >= confidence:
            return
        id_ = candidates.ids[item]
        label = ask(id_)
        if label is None:
            return
        race.learn(id_, label)
        step = race.standing(id_, label)
        yield step


class _Race:
    """CODA, and who was right so far."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates
        self._place_of = {id_: place for place, id_ in enumerate(candidates.ids)}
        self._right: list[NDArray[np.bool_]] = []
        self.coda = Coda(candidates.said, len(candidates.labels) + 1)

    def learn(self, id_: str, label: str) -> None:
        """Take a person's answer in; a skip, or a text that candidates did not answer, teaches nothing."""
        place, code = self._place_of.get(id_), self._candidates.code(label)
        if place is None:
            return
        self.coda.update(place, None if code == ABSTAINS else code)
        if code != ABSTAINS:
            self._right.append(self._candidates.said[:, place] == code)

    def standing(self, id_: str = "", label: str = "") -> ChoiceStep:
        """Return where the choice stands."""
        runs, p_best = self._candidates.runs, self.coda.p_best
        order = np.argsort(-p_best, kind="stable")
        right = np.array(self._right, dtype=np.bool_).reshape(-1, len(runs)).T
        return ChoiceStep(
            n_labels=len(self._right),
            p_best={runs[h]: float(p_best[h]) for h in order},
            n_right={runs[h]: int(right[h].sum()) for h in order},
            certainty=lead_certainty(right, int(order[0])),
            example_id=id_,
            label=label,
            advice=self._candidates.advice(runs[order[0]]),
        )
