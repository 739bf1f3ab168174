"""What the report and the model card state, read from a project."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from llm_al.config import ProjectConfig
from llm_al.label_rows import LabelRows
from llm_al.llm_quality import llm_quality
from llm_al.loop import Loop
from llm_al.measures import HardExample, PeopleFigures, ReportData
from llm_al.people.answer_book import AnswerBook
from llm_al.people.figures import read_people
from llm_al.people.soft_figures import soft_figures
from llm_al.people.suggestions import Suggestions
from llm_al.reports.model_card import ModelCardData, render
from llm_al.reports.pseudonyms import pseudonymised
from llm_al.store.files import write_atomically
from llm_al.store.store import SqlStore
from llm_al.student_files import KeptPredictions
from llm_al.supervision import SUPERVISION_NOTE, Summary
from llm_al.types import Source

__all__ = ["read_report", "write_model_card"]

_N_HARDEST = 15
_PACKAGES = ("llm-al", "torch", "transformers", "sentence-transformers", "scikit-learn", "numpy")


def read_report(
    config: ProjectConfig,
    loop: Loop,
    store: SqlStore,
    *,
    facts: Sequence[tuple[str, str]] = (),
    is_pseudonymous: bool = False,
) -> ReportData:
    """Return everything that the report shows; people's names are left out of it where `is_pseudonymous`."""
    records = tuple(store.round_records())
    number = records[-1].number if records else 0
    test = loop.corpus.test
    data = ReportData(
        project=config.name,
        labels=loop.corpus.scheme.labels,
        rounds=records,
        label_sources=_label_sources(loop, number),
        spending=tuple(store.spending()),
        annotators=loop.situation.answers().quality,
        hardest=_hardest(loop, number),
        n_pool=len(loop.corpus),
        n_test=len(test) if test is not None else 0,
        max_human_labels=config.budget.human_labels,
        facts=tuple(facts),
        recipe=_recipe(loop),
        llm_quality=llm_quality(loop.situation),
        people=_people(loop, store, is_subjective=config.human.subjective),
    )
    return pseudonymised(data) if is_pseudonymous else data


def _people(loop: Loop, store: SqlStore, *, is_subjective: bool) -> PeopleFigures | None:
    students, scheme = KeptPredictions(loop.students.cache), loop.corpus.scheme

    def suggestions(number: int) -> Suggestions:
        return Suggestions(store, students, scheme, number)

    book = AnswerBook(store, suggestions)
    people = read_people(store, book)
    if people is None or not is_subjective:
        return people
    return replace(people, soft=soft_figures(book.kept(), scheme, suggestions))


def write_model_card(config: ProjectConfig, loop: Loop, number: int) -> None:
    """Write `README.md` beside the student of a round."""
    record = next(r for r in loop.store.round_records() if r.number == number)
    summary = Summary.from_json(loop.store.read_note(number, SUPERVISION_NOTE) or {})
    model = config.student.model or config.embedder.model
    card = render(
        ModelCardData(
            name=config.name,
            labels=loop.corpus.scheme.labels,
            counts=_training_counts(summary),
            metrics=record.metrics,
            certificate=record.certificate,
            base_model=model if "/" in model and not model.startswith((".", "/", "~")) else None,
            recipe=_recipe(loop),
            versions={package: version(package) for package in _PACKAGES},
        )
    )
    write_atomically(loop.students.path(number) / "README.md", lambda file: file.write(card.encode()))


def _training_counts(summary: Summary) -> dict[str, int]:
    counts = {
        Source.HUMAN: summary.n_human,
        Source.LLM: summary.n_llm,
        Source.PSEUDO: summary.n_pseudo,
        Source.SYNTHETIC: summary.n_synthetic,
    }
    return {str(source): n for source, n in counts.items() if source in summary.sources}


def _label_sources(loop: Loop, number: int) -> dict[str, dict[str, int]]:
    counts = Counter((row.label, str(row.source)) for row in LabelRows(loop.situation, number))
    names = dict.fromkeys([*loop.corpus.scheme.names, *(label for label, _ in counts)])
    return {name: {str(s): counts[name, str(s)] for s in Source if counts[name, str(s)]} for name in names}


def _hardest(loop: Loop, number: int) -> tuple[HardExample, ...]:
    """Return answered examples that the student contradicts, then those that it is least sure of."""
    now = loop.situation.now(number + 1)
    if now.view.proba is None:
        return ()
    proba, human = np.asarray(now.view.proba), now.answers.human
    known = human >= 0
    given = np.where(known, proba[np.arange(len(proba)), np.maximum(human, 0)], 1.0)
    runner_up, best = np.partition(proba, -2, axis=1)[:, -2:].T
    doubt = np.where(known & (given < 0.5), 1.0 + (1.0 - given), 1.0 - (best - runner_up))
    rows = np.argsort(-doubt, kind="stable")[:_N_HARDEST]
    return tuple(_hard(loop, int(row), int(human[row]), proba[row]) for row in rows)


def _hard(loop: Loop, row: int, label: int, proba: np.ndarray[tuple[int], np.dtype[np.float64]]) -> HardExample:
    names = loop.corpus.scheme.names
    best = int(proba.argmax())
    contradicts = label >= 0 and best != label
    return HardExample(
        example_id=loop.corpus.ids[row],
        text=loop.corpus.texts[row],
        label=names[label] if label >= 0 else None,
        predicted=names[best],
        proba=float(proba[best]),
        note="the student contradicts the person" if contradicts else "the student is unsure",
    )


def _recipe(loop: Loop) -> dict[str, str]:
    steps = {field.name: repr(getattr(loop.steps, field.name)) for field in dataclasses.fields(loop.steps)}
    return {**steps, "student": repr(loop.students.student), "seed": str(loop.plan.seed)}
