from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llm_al.answers import read_answers
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.corpus import Corpus
from llm_al.pool import PoolView
from llm_al.pseudo_labels.adaptive import Adaptive
from llm_al.pseudo_labels.caps import Capped
from llm_al.pseudo_labels.guard import Guard
from llm_al.pseudo_labels.none import NoPseudo
from llm_al.pseudo_labels.propagation import Propagation
from llm_al.supervision import Summary, Supervision
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Label, LabelScheme, Source

NAMES = ("cat", "dog")


@dataclass(frozen=True)
class Rows:
    """Pseudo-labels some rows, whoever else has labelled them."""

    positions: tuple[int, ...]
    label: int = 0

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Any:
        n = len(self.positions)
        return np.array(self.positions, dtype=np.intp), np.eye(2)[[self.label] * n].reshape(n, 2), np.full(n, 0.5)


@dataclass(frozen=True)
class World:
    """Two clusters of texts: even rows are cats, odd ones dogs."""

    n: int = 60
    noise: float = 0.05

    @property
    def gold(self) -> np.ndarray:
        return np.arange(self.n) % 2

    @property
    def corpus(self) -> Corpus:
        noise = np.random.default_rng(0).normal(scale=self.noise, size=(self.n, 24))
        vectors = np.eye(2, 24)[self.gold] + noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = [f"e{row}" for row in range(self.n)]
        scheme = LabelScheme(tuple(map(Label, NAMES)))
        return Corpus(scheme, ids, [f"text {id_}" for id_ in ids], vectors.astype(np.float32), np.arange(self.n))

    def people(self, rows: range, **own: str) -> list[Annotation]:
        labels = {f"e{row}": NAMES[self.gold[row]] for row in rows} | own
        return [Annotation(id_, label, "ann", kind=AnnotatorKind.HUMAN) for id_, label in labels.items()]

    def machine(self, rows: range, *, is_right: bool = True) -> list[Annotation]:
        right = self.gold if is_right else 1 - self.gold
        return [
            Annotation(f"e{row}", NAMES[right[row]], "llm/p", kind=AnnotatorKind.LLM, model="m", confidence=0.9)
            for row in rows
        ]

    def mix(
        self,
        supervision: Supervision,
        annotations: list[Annotation],
        accepted: dict[int, str],
        *,
        in_use: tuple[Source, ...] = (),
    ) -> Any:
        corpus = self.corpus
        answers = read_answers(annotations, corpus, OneCoin(NAMES))
        labels, is_open = answers.human.copy(), ~answers.is_asked
        for row, label in accepted.items():
            if not answers.is_asked[row]:
                labels[row], is_open[row] = NAMES.index(label), False
        proba = np.full((self.n, 2), 0.5)
        view = PoolView(corpus.texts, corpus.embeddings, 2, labels, is_open, proba)
        return supervision.mix(view, answers, accepted, np.random.default_rng(0), in_use=in_use)


def test_people_alone_are_taken_as_they_are() -> None:
    world = World()
    mixture = world.mix(Supervision(NoPseudo(), Guard()), world.people(range(10)), {})
    assert mixture.positions.tolist() == list(range(10))
    assert mixture.targets.argmax(axis=1).tolist() == world.gold[:10].tolist()
    assert mixture.weights.tolist() == [1.0] * 10
    assert mixture.summary.sources == (Source.HUMAN,)


def test_without_a_guard_every_source_gets_in() -> None:
    world = World()
    accepted = {row: NAMES[world.gold[row]] for row in range(20, 30)}
    annotations = world.people(range(10)) + world.machine(range(20, 30))
    mixture = world.mix(Supervision(Rows((40, 42)), None), annotations, accepted)
    assert mixture.summary.sources == (Source.HUMAN, Source.LLM, Source.PSEUDO)
    assert (mixture.summary.n_human, mixture.summary.n_llm, mixture.summary.n_pseudo) == (10, 10, 2)
    assert mixture.positions.tolist() == [*range(10), *range(20, 30), 40, 42]
    training = mixture.training_set(world.corpus)
    assert training.texts[-1] == "text e42"
    assert len(training) == 22


def test_the_guard_lets_a_good_source_in_and_keeps_a_harmful_one_out() -> None:
    world = World(n=160, noise=0.5)
    for is_right in (True, False):
        right = world.gold if is_right else 1 - world.gold
        accepted = {row: NAMES[right[row]] for row in range(40, 160)}
        annotations = world.people(range(40)) + world.machine(range(40, 160), is_right=is_right)
        mixture = world.mix(Supervision(NoPseudo(), Guard()), annotations, accepted)
        assert (Source.LLM in mixture.summary.sources) == is_right, mixture.summary.reason
        assert mixture.summary.n_llm == 120
        assert (max(mixture.positions) < 40) == (not is_right)


def test_with_a_guard_a_students_own_labels_need_people_for_a_witness() -> None:
    world = World(n=120, noise=0.3)
    rows = tuple(range(60, 120))
    annotations = world.people(range(60))
    guard = Guard(kept_loss_se=9.0, max_fall_se=9.0)
    mixture = world.mix(Supervision(Rows(rows, label=0), guard), annotations, {}, in_use=(Source.PSEUDO,))
    own = mixture.positions[mixture.summary.n_human :]
    assert Source.PSEUDO in mixture.summary.sources
    assert world.gold[own].tolist() == [0] * len(own)
    unguarded = world.mix(Supervision(Rows(rows, label=0), None), annotations, {})
    assert unguarded.summary.n_pseudo == 60


def test_what_people_hold_to_be_outside_never_returns_as_a_pseudo_label() -> None:
    world = World()
    annotations = world.people(range(10), e20=NONE_OF_THESE, e22=NONE_OF_THESE)
    mixture = world.mix(Supervision(Rows((20, 22, 24)), None), annotations, {})
    assert mixture.positions.tolist() == [*range(10), 24]


def test_a_persons_answer_replaces_an_accepted_label() -> None:
    world = World()
    annotations = world.people(range(10)) + world.machine(range(5, 15), is_right=False)
    accepted = {row: NAMES[1 - world.gold[row]] for row in range(5, 15)}
    mixture = world.mix(Supervision(NoPseudo(), None), annotations, accepted)
    assert mixture.positions.tolist() == list(range(15))
    assert mixture.targets[:10].argmax(axis=1).tolist() == world.gold[:10].tolist()
    assert mixture.targets[10:].argmax(axis=1).tolist() == (1 - world.gold[10:15]).tolist()


def test_the_reviewed_label_is_learned_even_where_the_posterior_differs() -> None:
    world = World()
    annotations = world.people(range(4)) + world.machine(range(20, 21))
    mixture = world.mix(Supervision(NoPseudo(), None), annotations, {20: "dog"})
    assert mixture.targets[-1].tolist() == [0.0, 1.0]


def test_nothing_labelled_is_an_empty_mixture() -> None:
    mixture = World().mix(Supervision(NoPseudo(), Guard()), [], {})
    assert len(mixture.positions) == 0
    assert mixture.targets.shape == (0, 2)


def test_a_summary_survives_the_store() -> None:
    summary = Summary(3, 2, 1, (Source.HUMAN, Source.LLM), "why", view=2)
    assert Summary.from_json(summary.to_json()) == summary
    before = {name: value for name, value in summary.to_json().items() if name != "view"}
    assert Summary.from_json(before).view is None
    assert set(map(type, summary.to_json()["sources"])) == {str}


def test_a_subjective_task_is_learned_as_the_spread_of_votes() -> None:
    world = World()
    annotations = [*world.people(range(10)), Annotation("e0", "dog", "bob", kind=AnnotatorKind.HUMAN)]
    answers = read_answers(annotations, world.corpus, OneCoin(NAMES))
    view = PoolView(world.corpus.texts, world.corpus.embeddings, 2, answers.human, ~answers.is_asked, None, None)
    for is_subjective, target in ((True, [0.5, 0.5]), (False, [1.0, 0.0])):
        supervision = Supervision(NoPseudo(), None, is_subjective=is_subjective)
        mixture = supervision.mix(view, answers, {}, np.random.default_rng(0))
        np.testing.assert_allclose(mixture.targets[0], target)
        np.testing.assert_allclose(mixture.targets[1], [0.0, 1.0])


def test_the_guard_sees_propagated_labels_as_they_would_be_without_those_it_tests() -> None:
    world, seen = World(n=200, noise=0.3), []

    class Watching(Guard):
        def choose(self, human: Any, llm: Any, pseudo: Any, rng: Any, **rest: Any) -> Any:
            seen.append((human, pseudo))
            return super().choose(human, llm, pseudo, rng, **rest)

    labeler = Capped(Propagation(min_gain_se=0.0, agreement=False))
    world.mix(Supervision(labeler, Watching()), world.people(range(24)), {})
    human, pseudo = seen[0]
    assert pseudo.without is not None
    cats = np.flatnonzero(human.targets.argmax(axis=1) == 0)
    told = pseudo.without(cats)
    assert len(told) == len(pseudo)
    assert not (told.targets.argmax(axis=1) == 0).any()
    assert (pseudo.targets.argmax(axis=1) == 0).any()


def test_a_mixture_says_in_which_view_the_pool_was_seen_and_what_taught_the_last_student() -> None:
    world, seen = World(), []

    class Watching(NoPseudo):
        def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Any:
            seen.append(view.is_self_trained)
            return super().pseudo_label(view, rng)

    answers = read_answers(world.people(range(10)), world.corpus, OneCoin(NAMES))
    view = PoolView(world.corpus.texts, world.corpus.embeddings, 2, answers.human, ~answers.is_asked, view=1)
    for in_use in ((), (Source.HUMAN,), (Source.HUMAN, Source.PSEUDO)):
        mixture = Supervision(Watching(), None).mix(view, answers, {}, np.random.default_rng(0), in_use=in_use)
        assert mixture.summary.view == mixture.training_set(world.corpus).view == 1
    assert seen == [False, False, True]
    few = read_answers(world.people(range(9)), world.corpus, OneCoin(NAMES))
    assert Supervision(Watching(), None).mix(view, few, {}, np.random.default_rng(0)).summary.view is None


def test_a_student_is_given_texts_to_train_itself_on() -> None:
    world = World(n=100)
    annotations = [*world.people(range(20)), Annotation("e30", NONE_OF_THESE, "ann", kind=AnnotatorKind.HUMAN)]
    answers = read_answers(annotations, world.corpus, OneCoin(NAMES))

    def unlabelled(n: int, *, is_outgrown: bool, least: float = 10.0) -> Any:
        corpus = world.corpus
        view = PoolView(corpus.texts, corpus.embeddings, 2, answers.human, ~answers.is_asked, is_outgrown=is_outgrown)
        mix = Supervision(Capped(Adaptive(n_unlabelled=n, min_labels=0, min_labels_per_class=least)), None).mix
        mixture = mix(view, answers, {}, np.random.default_rng(0))
        return mixture, mixture.training_set(corpus)

    mixture, training = unlabelled(40, is_outgrown=True)
    assert 39 <= len(mixture.unlabelled) == len(training.unlabelled) <= 40
    assert mixture.unlabelled.min() >= 20
    assert 30 not in mixture.unlabelled
    assert training.unlabelled[0] == world.corpus.texts[int(mixture.unlabelled[0])]
    assert len(unlabelled(1000, is_outgrown=True)[1].unlabelled) == 79
    assert len(unlabelled(40, is_outgrown=False)[1].unlabelled) >= 39
    assert not len(unlabelled(40, is_outgrown=True, least=10.5)[1].unlabelled)
    assert not len(unlabelled(0, is_outgrown=True)[1].unlabelled)


def test_a_mixture_says_which_rows_have_pseudo_labels_and_which_label_stands_for_the_rest() -> None:
    world = World()
    mixture = world.mix(
        Supervision(Rows((40, 41)), None), [*world.people(range(10)), *world.machine(range(20, 21))], {20: "cat"}
    )
    training = mixture.training_set(world.corpus)
    assert training.is_pseudo is not None
    assert np.flatnonzero(training.is_pseudo).tolist() == [11, 12]
    assert training.catch_all is None
    corpus = replace(world.corpus, scheme=LabelScheme(tuple(map(Label, NAMES)), catch_all="dog"))
    assert mixture.training_set(corpus).catch_all == 1
