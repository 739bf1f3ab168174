"""What a reviewer looks at: texts that divide annotators, labels that are likely wrong, texts that somebody flagged."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import func, select

from llm_al.corpus import Corpus
from llm_al.errors import DataError, LabelError
from llm_al.people.answer_book import RULING, is_ruling
from llm_al.people.answering import person_name
from llm_al.people.background import Background
from llm_al.people.disputes import Dispute, Opinions, find_disputes
from llm_al.people.review_cases import Case, CaseReader, Lead, Vote
from llm_al.people.suggestions import Suggestions
from llm_al.people.suspects import LabelSuspect, label_suspects
from llm_al.protocols import Aggregator
from llm_al.store.annotations import AnnotationLog
from llm_al.store.rulings import Flag
from llm_al.store.schema import annotations, rulings
from llm_al.store.store import SqlStore
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Example, LabelScheme, Split

__all__ = ["KINDS", "Case", "Review", "Vote"]

KINDS = ("disagreement", "label_error", "flag")
"""Why a text may need a reviewer."""
_PATIENCE_S = 0.3
_FIRST_S = 2.0
_MAX_CASES = 200


@dataclass
class Review:
    """Reached as `project.review`.

    Parameters
    ----------
    consensus : Aggregator
        The project's.
    suggestions : callable
        From the number of a finished round to what its student says.
    corpus : callable
        Returns the pool with its embeddings; called in a background thread only, for likely label errors.
    """

    store: SqlStore
    scheme: LabelScheme
    consensus: Aggregator
    suggestions: Callable[[int], Suggestions]
    corpus: Callable[[], Corpus]
    _student: dict[int, Suggestions] = field(default_factory=dict, init=False, repr=False)

    def cases(self, kind: str, *, offset: int = 0, n: int = 20) -> tuple[list[Case], int]:
        """Return some cases of a kind, most at stake first, and how many there are in all.

        Texts with a ruling are left out, but for flags that were raised after it. What takes long is made in a
        thread: see `as_of` and `note`.

        Parameters
        ----------
        n : int
            At most 200 are given.

        Raises
        ------
        DataError
            If the kind is unknown, or a number is negative.
        """
        if kind not in KINDS:
            raise DataError(f"unknown kind of case {kind!r}; choose from: {', '.join(KINDS)}")
        if offset < 0 or n < 0:
            raise DataError(f"cases from {offset}, {n} of them, cannot be given; give numbers that are not negative")
        leads = {"disagreement": self._disagreements, "label_error": self._label_errors, "flag": self._flags}[kind]()
        made = self._opinions.last
        reader = CaseReader(self.store, self._last_student(), made.value.consensus if made is not None else {})
        return reader.read(kind, leads[offset : offset + min(n, _MAX_CASES)]), len(leads)

    def as_of(self, kind: str) -> float | None:
        """Return of which moment the list of a kind tells, in seconds since the epoch; None is of now, or none yet."""
        made = self._made_in_thread(kind)
        return made.last.as_of_s if made is not None and made.last is not None else None

    def note(self, kind: str) -> str:
        """Return why the list of a kind is missing or old, in a sentence; empty when it is fresh."""
        made = self._made_in_thread(kind)
        if made is None:
            return ""
        if made.failure:
            return f"this list could not be made: {made.failure}"
        if made.is_running:
            return "this list is being made" if made.last is None else "a newer list is being made"
        return ""

    def rule(self, example_id: str, label: str | None, *, person: str, note: str = "", is_gold: bool = False) -> None:
        """Settle the label of a text, or withdraw what was settled.

        The label is appended as an annotation of the reviewer and as a ruling, which consensus takes for the truth;
        nobody else is asked about the text and its flags are settled. Withdrawing takes the reviewer's annotation back.

        Parameters
        ----------
        label : str or None
            A label of the scheme, or `NONE_OF_THESE` where it is open; None withdraws.
        person : str
            Name of the account, as in ``ann``.
        is_gold : bool
            Whether people may be checked with it.

        Raises
        ------
        LabelError
            If the label is unknown.
        DataError
            If there is no such text in the pool.
        """
        self._check_label(label)
        (example,) = self.store.examples_by_id([example_id])
        if example.split is not Split.POOL:
            raise DataError(f"{example_id!r} is in the test split; rulings are about texts of the pool; rule on one")
        rows = self._taken_back(example) if label is None else [self._vote(example, label, person=person, note=note)]
        who, may_check = person_name(person), is_gold and label is not None
        with self.store.database.writing() as connection:
            AnnotationLog(self.store.database).append(connection, rows)
            self.store.rulings.append(connection, example.id, label, person=who, note=note, is_gold=may_check)
            if label is not None:
                self.store.assignments.complete(connection, example.id)
        if label is not None:
            self.store.flags.settle(example.id, by=who)

    def wait(self, timeout_s: float = 60.0) -> None:
        """Wait until nothing is being made in a thread."""
        for made in (self._opinions, self._suspects):
            made.join(timeout_s)

    def _check_label(self, label: str | None) -> None:
        if label is None or (label == NONE_OF_THESE and self.scheme.is_open):
            return
        if label == NONE_OF_THESE:
            raise LabelError("every text of this project fits one of the labels; rule on one of them")
        self.scheme.index(label)

    def _vote(self, example: Example, label: str, *, person: str, note: str) -> Annotation:
        state = self.store.current_round()
        return Annotation(
            example.id,
            label,
            person_name(person),
            kind=AnnotatorKind.HUMAN,
            round=state.number if state is not None else 0,
            reason=f"{RULING}: {note}" if note else RULING,
        )

    def _taken_back(self, example: Example) -> list[Annotation]:
        return [
            Annotation(example.id, None, vote.source, kind=vote.kind, round=vote.round, retracts=vote.row_id)
            for vote in self.store.annotations(ids=[example.id])
            if is_ruling(vote)
        ]

    def _made_in_thread(self, kind: str) -> Background[Any] | None:
        made: dict[str, Background[Any]] = {"disagreement": self._opinions, "label_error": self._suspects}
        return made.get(kind)

    @cached_property
    def _opinions(self) -> Background[Opinions]:
        return Background(self._find_disputes, self._key)

    @cached_property
    def _suspects(self) -> Background[list[LabelSuspect]]:
        return Background(self._find_suspects, self._key)

    def _key(self) -> Hashable:
        queries = (select(func.max(annotations.c.id)), select(func.max(rulings.c.id)))
        with self.store.database.reading() as connection:
            rows = tuple(connection.execute(query).scalar() for query in queries)
        return (*rows, self.store.n_rounds_finished())

    def _find_disputes(self) -> Opinions:
        return find_disputes(self.store, self.scheme, self.consensus, self._last_student())

    def _find_suspects(self) -> list[LabelSuspect]:
        gold = {id_: ruling.label for id_, ruling in self.store.rulings.standing().items()}
        return label_suspects(self.store.annotations(), self.corpus(), self.consensus, gold=gold)

    def _last_student(self) -> Suggestions:
        number = self.store.n_rounds_finished()
        if number not in self._student:
            self._student = {number: self.suggestions(number)}
        return self._student[number]

    def _disagreements(self) -> list[Lead]:
        made, ruled = self._opinions.look(_PATIENCE_S, first_s=_FIRST_S), self.store.rulings.standing()
        found: Sequence[Dispute] = made.value.disputes if made is not None else ()
        return [Lead(d.example_id, d.stake, d.why) for d in found if d.example_id not in ruled]

    def _label_errors(self) -> list[Lead]:
        made, ruled = self._suspects.look(_PATIENCE_S, first_s=_FIRST_S), self.store.rulings.standing()
        return [
            Lead(
                s.example_id,
                s.doubt,
                f"labelled {s.label}; students that have not learned from it say {s.likelier}",
                (s.likelier, s.likelihood),
            )
            for s in (made.value if made is not None else ())
            if s.example_id not in ruled
        ]

    def _flags(self) -> list[Lead]:
        raised: dict[str, list[Flag]] = {}
        for flag in self.store.flags.open():
            raised.setdefault(flag.example_id, []).append(flag)
        leads = [Lead(id_, float(len(some)), "; ".join(map(_words, some))) for id_, some in raised.items()]
        return sorted(leads, key=lambda lead: -lead.score)


def _words(flag: Flag) -> str:
    who = flag.person.removeprefix(person_name(""))
    return f"{who}: {flag.note}" if flag.note else f"{who} flagged it"
