"""What people's labels teach about labels and guidelines: texts of each label, and texts that divide annotators."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm_al.annotators.tasks.material import Disagreement, LabelledTexts
from llm_al.answers import Answers
from llm_al.corpus import Corpus
from llm_al.errors import DataError
from llm_al.situation import Moment, Situation
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Demonstration

__all__ = ["disagreements", "known_labels"]

_N_OWN = 8
_N_LABELS_BESIDE = 2
_N_EACH_BESIDE = 2
_MAX_DISAGREEMENTS = 40


def known_labels(situation: Situation, *, seed: int = 0) -> list[LabelledTexts]:
    """Return texts that people gave each label, with some of the labels nearest to it.

    Near is what has the nearest mean embedding. Labels without a text are left out: nothing is known of them.

    Raises
    ------
    DataError
        If people have given no label yet.
    """
    corpus, answers = situation.corpus, situation.answers()
    rows_of = {c: np.flatnonzero(answers.human == c) for c in range(len(corpus.scheme))}
    known = [c for c, rows in rows_of.items() if len(rows)]
    if not known:
        raise DataError("people have labelled no text yet; answer some first: llm-al run, then llm-al label")
    rng = np.random.default_rng(seed)
    shown = {c: _some(rows_of[c], _N_OWN, rng) for c in known}
    means = np.array([np.asarray(corpus.embeddings[rows_of[c]], dtype=np.float32).mean(axis=0) for c in known])
    order = np.argsort(((means[:, None] - means[None]) ** 2).sum(axis=2), axis=1, kind="stable")
    return [
        LabelledTexts(
            corpus.scheme.names[c],
            tuple(corpus.texts_at(shown[c])),
            _beside(corpus, [known[i] for i in order[row] if known[i] != c][:_N_LABELS_BESIDE], shown),
        )
        for row, c in enumerate(known)
    ]


def _some(rows: NDArray[np.intp], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return rows if len(rows) <= n else np.sort(rng.choice(rows, n, replace=False))


def _beside(corpus: Corpus, near: Sequence[int], shown: dict[int, NDArray[np.intp]]) -> tuple[Demonstration, ...]:
    return tuple(
        Demonstration(text, corpus.scheme.names[c]) for c in near for text in corpus.texts_at(shown[c][:_N_EACH_BESIDE])
    )


def disagreements(situation: Situation, *, number: int) -> list[Disagreement]:
    """Return the texts on which annotators differ most, the most telling first, at most 40.

    First come those where people contradict the LLM, the more of its runs the earlier; then those where people
    contradict the student, the surer it was the earlier; then those on which the LLM's runs differ, the more
    evenly the earlier.

    Parameters
    ----------
    number : int
        The last finished round, whose student is heard.
    """
    now = situation.now(number + 1)
    ranked = [(rank, row) for row in now.answers.by_example if (rank := _rank(now, row, situation.corpus)) is not None]
    ranked.sort(key=lambda pair: (pair[0][0], -pair[0][1], pair[1]))
    return [_disagreement(now, row, situation.corpus) for _, row in ranked[:_MAX_DISAGREEMENTS]]


def _rank(now: Moment, row: int, corpus: Corpus) -> tuple[int, float] | None:
    """Return the kind of a disagreement and its strength; None when all agree."""
    machine, person = _machine(now.answers.by_example[row]), _person(now.answers, row, corpus)
    if person and (wrong := sum(label != person for label in machine)):
        return 0, wrong / len(machine)
    if person and now.view.proba is not None:
        best = int(now.view.proba[row].argmax())
        if corpus.scheme.names[best] != person:
            return 1, float(now.view.proba[row][best])
    if len(set(machine)) > 1:
        return 2, 1.0 - max(Counter(machine).values()) / len(machine)
    return None


def _machine(answers: Sequence[Annotation]) -> list[str]:
    said = [a.label for a in answers if a.kind is AnnotatorKind.LLM and a.label != SKIP]
    return [label for label in said if label is not None]


def _person(answers: Answers, row: int, corpus: Corpus) -> str:
    """Return what people say; empty where they say nothing."""
    if answers.is_outside[row]:
        return NONE_OF_THESE
    return corpus.scheme.names[int(answers.human[row])] if answers.human[row] >= 0 else ""


def _disagreement(now: Moment, row: int, corpus: Corpus) -> Disagreement:
    known = {*corpus.scheme.names, *([NONE_OF_THESE] if corpus.scheme.is_open else [])}
    said = [("people", _person(now.answers, row, corpus))]
    machine = [a for a in now.answers.by_example[row] if a.kind is AnnotatorKind.LLM]
    said += [(f"the LLM, run {n}", a.label or "") for n, a in enumerate(machine, start=1)]
    if now.view.proba is not None:
        said.append(("the student", corpus.scheme.names[int(now.view.proba[row].argmax())]))
    return Disagreement(
        corpus.ids[row], corpus.texts[row], tuple((who, label) for who, label in said if label in known)
    )
