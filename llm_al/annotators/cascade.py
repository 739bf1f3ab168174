"""A cheap model first, a stronger one only where its price buys more than a person's."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from llm_al.annotators.panel import Panel, PanelEstimate
from llm_al.errors import ConfigError
from llm_al.protocols import Annotator
from llm_al.types import NANO_PER_USD, SKIP, Annotation, AnnotatorKind, Example

__all__ = ["Cascade", "Gain", "Trial", "estimate_accuracies", "expected_gain", "read_trials", "sureness"]

PRIOR_STRENGTH = 8.0
"""So many answers of people the prior is worth."""
PRIOR_REPAIR = 0.5
"""Without experience the stronger model is taken to repair this share of the cheap one's errors."""
N_BINS = 5


@dataclass(frozen=True)
class Gain:
    """What a dollar buys, in correct labels: from the stronger model, and from a person."""

    strong_per_usd: float
    human_per_usd: float

    @property
    def is_worth_it(self) -> bool:
        """Whether the stronger model brings anything, and more for a dollar than a person."""
        return self.strong_per_usd > 0.0 and self.strong_per_usd > self.human_per_usd


@dataclass(frozen=True)
class Trial:
    """A text that a person has answered: how sure the cheap model was, and who was right (None: not asked)."""

    sureness: float
    is_cheap_right: bool
    is_strong_right: bool | None = None


def expected_gain(p: float, q: float, *, strong_usd: float, human_usd: float, human_accuracy: float = 1.0) -> Gain:
    """Return the expected gain in correct labels a dollar of asking the stronger model, and of asking a person.

    ``(q - p) / strong_usd`` and ``(human_accuracy - p) / human_usd``: each would replace a label that is right with
    probability p by one that is right with probability q, or `human_accuracy`. A free stronger model gains without
    bound where q > p.

    Parameters
    ----------
    p : float
        Probability that the cheap model's label is right.
    q : float
        Accuracy of the stronger model on texts about which the cheap one is that sure.
    strong_usd, human_usd : float
        Price of one text; `human_usd` above 0.

    Examples
    --------
    >>> expected_gain(0.6, 0.8, strong_usd=0.01, human_usd=0.1)
    Gain(strong_per_usd=20.0, human_per_usd=4.0)
    """
    difference = round(q - p, 12)
    strong = difference / strong_usd if strong_usd > 0.0 else (float("inf") if difference > 0.0 else 0.0)
    return Gain(round(strong, 9), round((human_accuracy - p) / human_usd, 9))


def sureness(answers: Sequence[Annotation], n_classes: int) -> tuple[str | None, float]:
    """Return the label that most answers give, and how sure they are together.

    With several answers it is the smoothed agreement ``(count + 1/c) / (n + 1)`` over all n of them, abstentions
    among them; with one it is that answer's confidence, or the smoothed agreement of one where it is unknown. Without
    a valid answer it is (None, 0).
    """
    votes = Counter(a.label for a in answers if a.label is not None and a.label != SKIP)
    if not votes:
        return None, 0.0
    label, count = max(votes.items(), key=lambda item: item[1])
    if len(answers) == 1 and answers[0].confidence is not None:
        return label, answers[0].confidence
    return label, (count + 1.0 / n_classes) / (len(answers) + 1.0)


def estimate_accuracies(sure: float, trials: Sequence[Trial]) -> tuple[float, float]:
    """Return p and q of `expected_gain` for a text about which the cheap model is `sure`.

    Both are means of a beta posterior over the trials in the same fifth of sureness, with a prior worth
    `PRIOR_STRENGTH` answers. The prior mean of p is `sure` itself; that of q is ``p + (1 - p) / 2``: without
    experience the stronger model is taken to repair half of the cheap one's errors. Trials that a review chose
    are harder than average, which makes both estimates cautious.
    """
    near = [trial for trial in trials if _bin(trial.sureness) == _bin(sure)]
    p = _posterior_mean(sure, [trial.is_cheap_right for trial in near])
    prior = p + PRIOR_REPAIR * (1.0 - p)
    return p, _posterior_mean(prior, [t.is_strong_right for t in near if t.is_strong_right is not None])


def _bin(sure: float) -> int:
    return min(int(sure * N_BINS), N_BINS - 1)


def _posterior_mean(prior: float, outcomes: Sequence[bool]) -> float:
    return (prior * PRIOR_STRENGTH + sum(outcomes)) / (PRIOR_STRENGTH + len(outcomes))


def read_trials(
    annotations: Sequence[Annotation], gold: Mapping[str, str], *, cheap: str, strong: str, n_classes: int
) -> list[Trial]:
    """Return what people's answers say about two models.

    Parameters
    ----------
    annotations : sequence of Annotation
        Those of other models and of people are passed over.
    gold : mapping of str to str
        Example id -> label by people.
    cheap, strong : str
        The models, as annotations name them.
    """
    given: dict[tuple[str, str], list[Annotation]] = {}
    for answer in annotations:
        if answer.kind is AnnotatorKind.LLM and answer.model in (cheap, strong) and answer.example_id in gold:
            given.setdefault((answer.example_id, answer.model), []).append(answer)
    trials = []
    for (id_, model), answers in given.items():
        if model == cheap:
            label, sure = sureness(answers, n_classes)
            better = given.get((id_, strong))
            is_strong_right = None if better is None else sureness(better, n_classes)[0] == gold[id_]
            trials.append(Trial(sure, label == gold[id_], is_strong_right))
    return trials


def _no_trials() -> list[Trial]:
    return []


@dataclass(frozen=True)
class Cascade:
    """Asks `first` about every text, and `then` where `expected_gain` says that it is worth it.

    Answers of both are handed on and kept; a review weighs those that `standing` returns, the stronger model's where
    it was asked. A text that was not sent on carries the reason in the first model's annotation.

    Parameters
    ----------
    first, then : Annotator
        The cheap and the stronger model, of kind LLM; `then` is priced by its `estimate`, else it is free.
    n_classes : int
    human_usd : float
        Price of an answer of a person, above 0.
    human_accuracy : float
    trials : callable
        Returns what people's answers say about the two so far; called once in each `annotate`.
    round : int

    Raises
    ------
    ConfigError
        If the two are the same, or `human_usd` is not above 0.
    """

    first: Annotator
    then: Annotator
    n_classes: int
    human_usd: float
    human_accuracy: float = 0.98
    trials: Callable[[], Sequence[Trial]] = field(default=_no_trials, repr=False, compare=False)
    round: int = 0

    def __post_init__(self) -> None:
        if self.first.name == self.then.name:
            raise ConfigError(f"llm.cascade.then is {self.then.name!r} like the first model; name a stronger one")
        if not self.human_usd > 0.0:
            raise ConfigError(f"llm.cascade.human_usd_per_label is {self.human_usd}; it must be above 0")
        # Done here, so that `dataclasses.replace(cascade, round=3)` reaches both.
        pair = Panel((self.first, self.then), round=self.round)
        for name, member in zip(("first", "then"), pair.members, strict=True):
            object.__setattr__(self, name, member)

    @property
    def name(self) -> str:
        """The two names."""
        return f"{self.first.name}>{self.then.name}"

    @property
    def kind(self) -> AnnotatorKind:
        """Always LLM."""
        return AnnotatorKind.LLM

    @property
    def stop_reason(self) -> str:
        """Why one of the two left examples out; texts that were not worth the stronger model are not meant."""
        return self._pair.stop_reason

    def standing(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Return the answers that count: where the stronger model gave one, the cheap model's do not."""
        strong = [a for a in annotations if a.source == self.then.name or a.source.startswith(f"{self.then.name}/")]
        is_replaced = {a.example_id for a in strong if a.label is not None}
        return [a for a in annotations if a in strong or a.example_id not in is_replaced]

    @property
    def is_batch(self) -> bool:
        """Whether one of the two hands its questions in as a batch."""
        return self._pair.is_batch

    @property
    def n_waiting(self) -> int:
        """Questions that lie in batches and have no answer yet."""
        return self._pair.n_waiting

    @property
    def _pair(self) -> Panel:
        return Panel((self.first, self.then), round=self.round)

    def check(self) -> None:
        """Fail now if one of the two cannot work; free of charge."""
        self._pair.check()

    def check_cap(self, example: Example) -> None:
        """Fail now if the cap is below the price of one call; sends nothing."""
        self._pair.check_cap(example)

    def estimate(self, examples: Sequence[Example]) -> PanelEstimate:
        """Return calls and money; the low end sends nothing to the stronger model, the high end everything."""
        both = self._pair.estimate(examples)
        cheap, strong = (Panel((member,)).estimate(examples) for member in (self.first, self.then))
        slowest = (cheap.seconds_high, strong.seconds_high)
        return replace(
            both,
            cost_low_nanousd=cheap.cost_low_nanousd,
            seconds_low=cheap.seconds_low,
            # One after the other.
            seconds_high=None if None in slowest else sum(s for s in slowest if s is not None),
        )

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return the first model's answers, and the second's where it was asked."""
        cheap = self.first.annotate(examples)
        by_id: dict[str, list[Annotation]] = {}
        for answer in cheap:
            by_id.setdefault(answer.example_id, []).append(answer)
        trials, prices = self.trials(), self._prices(examples)
        gains = {
            example.id: self._gain(by_id[example.id], prices[example.id], trials)
            for example in examples
            if example.id in by_id
        }
        sent = [example for example in examples if example.id in gains and gains[example.id].is_worth_it]
        kept = {id_: _why_not(gain, self.then.name) for id_, gain in gains.items() if not gain.is_worth_it}
        # Asked about nothing, it forgets why it left something out the last time.
        return [_explained(a, kept) for a in cheap] + self.then.annotate(sent)

    def _gain(self, answers: Sequence[Annotation], strong_usd: float, trials: Sequence[Trial]) -> Gain:
        p, q = estimate_accuracies(sureness(answers, self.n_classes)[1], trials)
        return expected_gain(p, q, strong_usd=strong_usd, human_usd=self.human_usd, human_accuracy=self.human_accuracy)

    def _prices(self, examples: Sequence[Example]) -> dict[str, float]:
        """Return the highest price of the stronger model's calls about each example, in dollars."""
        highest = getattr(self.then, "highest_cost_nanousd", None)
        if highest is not None:
            return {example.id: (highest(example) or 0) / NANO_PER_USD for example in examples}
        estimate = getattr(self.then, "estimate", None)
        if estimate is None:
            return dict.fromkeys((example.id for example in examples), 0.0)
        costs = {example.id: cast(Any, estimate([example])).cost_high_nanousd for example in examples}
        return {id_: (cost or 0) / NANO_PER_USD for id_, cost in costs.items()}


def _explained(answer: Annotation, kept: Mapping[str, str]) -> Annotation:
    reason = kept.get(answer.example_id)
    return answer if reason is None else replace(answer, reason="; ".join(filter(None, (answer.reason, reason))))


def _why_not(gain: Gain, name: str) -> str:
    return (
        f"not sent to {name}: a dollar there buys {gain.strong_per_usd:.3g} correct labels, "
        f"a dollar of a person's time {gain.human_per_usd:.3g}"
    )
