"""MACE: annotators who at times do not read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, logsumexp

from llm_al.consensus._evidence import Evidence, Trust, gather
from llm_al.consensus._settings import check_settings
from llm_al.consensus._votes import measure_annotators, tabulate, to_consensus
from llm_al.types import Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["Mace"]

Floats = NDArray[np.float64]

_PER_VOTE = 1e-5


@dataclass(frozen=True)
class Mace:
    """Posterior over labels when each voter either knows the truth or spams with a label of a habit of its own [1]_.

    With probability t_j voter j says what is true, else it draws from its habit h_j, whatever the text. Variational
    EM with beta and Dirichlet priors as in the paper, from several random starts, of which the likeliest is kept.

    Differs from the paper: a student's probabilities, where `known` has them, stand in for the flat prior of the truth;
    gold is clamped; machines are discounted by their correlation and merged by model as in `OneCoin`; and a voter
    is learned about only where somebody else speaks too. Of an annotator, accuracy is the probability of not spamming
    plus that of being right by habit.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    people_stand : bool
        Whether people who agree are never outvoted by machines or the student.
    knows, spams : float
        The two counts of the beta prior of t_j; the paper has 0.5 and 0.5.
    habit : float
        Count of each outcome in the Dirichlet prior of h_j; the paper has 10.
    n_starts, max_steps : int
        Random starts and EM steps of each; the paper has 10 and 50.
    seed : int
        Of the starts.
    correlation, correlation_strength : float
        As in `OneCoin`.

    Raises
    ------
    ConfigError
        If a setting is out of its range.

    References
    ----------
    .. [1] Hovy, Berg-Kirkpatrick, Vaswani & Hovy (2013). Learning whom to trust with MACE. NAACL-HLT 2013, 1120-1130.
    """

    labels: tuple[str, ...]
    people_stand: bool = True
    knows: float = 0.5
    spams: float = 0.5
    habit: float = 10.0
    n_starts: int = 10
    max_steps: int = 50
    seed: int = 0
    correlation: float = 0.5
    correlation_strength: float = 20.0

    def __post_init__(self) -> None:
        positive = ("knows", "spams", "habit", "n_starts", "max_steps", "correlation_strength")
        check_settings(self, unit=("correlation",), positive=positive)

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes, and habits are learned from it.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        ShapeError
            If a student's probabilities are not one a label.
        """
        votes = tabulate(annotations, self.labels, known=known)
        evidence = gather(votes, known, Trust(self.people_stand, self.correlation, self.correlation_strength))
        rng = np.random.default_rng(self.seed)
        runs = [self._run(evidence, rng) for _ in range(self.n_starts)]
        posterior, accuracy, _ = max(runs, key=lambda run: run[2])
        if self.people_stand:
            posterior = votes.with_people_standing(posterior)
        quality = measure_annotators(annotations, evidence.estimated(accuracy), known=known)
        return to_consensus(votes, annotations, posterior), quality

    def _run(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Floats, Floats, float]:
        """Return posterior (n, c + 1), accuracy (v,) and log evidence a vote from one random start."""
        v, n_outcomes = len(evidence.votes.voters), evidence.votes.n_outcomes
        spam = np.stack([np.full(v, self.knows) + rng.random(v), np.full(v, self.spams) + rng.random(v)])
        habit = self.habit + rng.random((v, n_outcomes))
        posterior, knew, bound = _expect(evidence, spam, habit)
        for _ in range(self.max_steps):
            spam, habit = self._count(evidence, knew)
            before = bound
            posterior, knew, bound = _expect(evidence, spam, habit)
            if abs(bound - before) < _PER_VOTE:
                break
        t = spam[0] / spam.sum(axis=0)
        by_habit = ((habit / habit.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
        return posterior, t + (1.0 - t) * by_habit, bound

    def _count(self, evidence: Evidence, knew: Floats) -> tuple[Floats, Floats]:
        """Return the counts of knowing and spamming, shape (2, v), and of habits, shape (v, c + 1)."""
        votes = evidence.votes
        counted, v = votes.share * evidence.is_lesson, len(votes.voters)
        spam = np.stack(
            [
                self.knows + np.bincount(votes.voter, counted * knew, v),
                self.spams + np.bincount(votes.voter, counted * (1.0 - knew), v),
            ]
        )
        habit = np.full((v, votes.n_outcomes), self.habit)
        np.add.at(habit, (votes.voter, votes.outcome), counted * (1.0 - knew))
        return spam, habit


def _expect(evidence: Evidence, spam: Floats, habit: Floats) -> tuple[Floats, Floats, float]:
    """Return posterior (n, c + 1), the probability that each entry was known, and the log evidence a vote."""
    votes = evidence.votes
    log_t, log_s = digamma(spam) - digamma(spam.sum(axis=0))
    log_h = digamma(habit) - digamma(habit.sum(axis=1, keepdims=True))
    guessed = log_s[votes.voter] + log_h[votes.voter, votes.outcome]
    right = np.logaddexp(log_t[votes.voter], guessed)
    count = votes.share * evidence.weight
    logits = evidence.student.prior + votes.totals(count * (right - guessed))
    logits += np.bincount(votes.example, count * guessed, len(votes.example_ids))[:, None]
    total = logsumexp(logits, axis=1, keepdims=True) if len(logits) else np.zeros((0, 1))
    posterior = votes.clamped(np.exp(logits - total))
    # Only a voter whose answer is true can have known it.
    knew = posterior[votes.example, votes.outcome] * np.exp(log_t[votes.voter] - right)
    return posterior, knew, float(total.sum()) / max(float(count.sum()), 1.0)
