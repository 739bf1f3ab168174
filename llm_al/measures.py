"""What was measured: frozen figures that steps hand to the store, to reports and to people."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_al.types import AnnotatorQuality, Label, Source


@dataclass(frozen=True)
class ClassMetrics:
    """Quality on one class."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of a reliability diagram: predicted confidence against what came true."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, or None with the reason why it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AnswerTime:
    """One standing answer of a person, with what they were asked.

    Parameters
    ----------
    source : str
        Who answered.
    label : str
        May be `NONE_OF_THESE` or `SKIP`.
    form : str
        See `llm_al.phrasing.Form`; empty where nobody said.
    options : tuple of str
        Labels that were offered first.
    coverage : float or None
        Probability with which `options` was meant to hold the answer.
    seconds : float or None
        Time that the answer took.
    n_words : int
        Of the text.
    created_s : float
        Seconds since the epoch.
    """

    example_id: str
    source: str
    label: str
    form: str = ""
    options: tuple[str, ...] = ()
    coverage: float | None = None
    seconds: float | None = None
    is_suggestion_shown: bool = False
    n_words: int = 0
    created_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One answer to a question that checks the person: ``gold`` (the label is known) or ``re_ask`` (asked before)."""

    annotator: str
    kind: str
    example_id: str
    label: str
    expected: str
    answered_s: float

    @property
    def is_right(self) -> bool:
        """Whether it is what was expected."""
        return self.label == self.expected


@dataclass(frozen=True)
class PersonFigures:
    """How one person works; rulings of theirs are no answers.

    Parameters
    ----------
    n_answers, n_skips, n_none : int
        Standing answers without skips, skips, and answers that no label fits.
    minutes, median_s : float
        Time of all, and of one answer.
    accuracy : Estimate
        Share of answers that are what was ruled, or else what most of the others say; `n_compared` had such a label.
    agreement : Estimate
        Cohen's kappa with the others.
    gold, steadiness : Estimate
        Share of right answers to questions whose label is known, and of same answers to questions asked again.
    acceptance : Estimate
        Share of answers with a suggestion in sight (`n_shown`) that are that suggestion.
    accuracy_shown, accuracy_hidden : Estimate
        `accuracy` with a suggestion in sight and without.
    last_s : float
        When they last answered, in seconds since the epoch; 0 for somebody who never did.
    """

    name: str
    n_answers: int
    n_skips: int
    n_none: int
    minutes: float
    median_s: float | None
    accuracy: Estimate
    n_compared: int
    agreement: Estimate
    gold: Estimate
    n_gold: int
    n_gold_right: int
    steadiness: Estimate
    n_re_asked: int
    acceptance: Estimate
    n_shown: int
    accuracy_shown: Estimate
    accuracy_hidden: Estimate
    last_s: float


@dataclass(frozen=True)
class FormFigures:
    """How long questions of one form take: the median, and what nine of ten answers stay below."""

    form: str
    n: int
    median_s: float
    slow_s: float


@dataclass(frozen=True)
class CoverageFigures:
    """How often the labels that a form offered first held the answer, also where the whole list was asked for.

    Of the form ``list`` are questions that had such labels and did not show them: nothing influenced these answers.

    Parameters
    ----------
    n, n_outside : int
        Answers with a label; answers that no label fits are in neither share.
    nominal : float
        Mean probability with which the labels were meant to hold the answer.
    n_options : float
        Mean number of labels offered first.
    """

    form: str
    n: int
    n_outside: int
    nominal: float
    empirical: Estimate
    n_options: float


@dataclass(frozen=True)
class PairFigures:
    """How far two people agree on the `n` texts that both answered."""

    first: str
    second: str
    n: int
    share: float
    kappa: Estimate


@dataclass(frozen=True)
class AgreementFigures:
    """How far people agree on texts that several answered; each coefficient has a value or a reason."""

    n_examples: int
    n_unanimous: int
    n_people: int
    krippendorff: Estimate
    fleiss: Estimate
    cohen: Estimate
    labels: tuple[tuple[str, Estimate], ...]
    """Krippendorff's alpha of each label against the others, lowest first, those without a value last."""
    pairs: tuple[PairFigures, ...]


@dataclass(frozen=True)
class SoftFigures:
    """How well a student foresaw the spread of people's votes on `n` texts with several, before it learned from them.

    Parameters
    ----------
    majority : Estimate
        Share of texts on which its likeliest label is one that most people gave.
    distance : float
        Mean share of its probability that lies elsewhere than the votes do, in [0, 1]: total variation.
    cross_entropy, entropy : float
        Of votes and probabilities, and of the votes alone, which no student can go below; in nats.
    """

    n: int
    majority: Estimate
    distance: float
    cross_entropy: float
    entropy: float


@dataclass(frozen=True)
class PeopleFigures:
    """What people's answers say about people (most answers first), questions and texts.

    Accuracies with a suggestion in sight and without are not about the same texts. `n_gold` of the labels that
    reviewers settled may be used for checks; `n_flags` texts have an open flag.
    """

    persons: tuple[PersonFigures, ...]
    agreement: AgreementFigures
    forms: tuple[FormFigures, ...]
    coverage: tuple[CoverageFigures, ...]
    acceptance: Estimate
    accuracy_shown: Estimate
    accuracy_hidden: Estimate
    n_answers: int
    n_skips: int
    minutes: float
    median_s: float | None
    n_rulings: int = 0
    n_gold: int = 0
    n_flags: int = 0
    soft: SoftFigures | None = None
    """Of the report of a task on which people may rightly differ; None elsewhere."""


@dataclass(frozen=True)
class SignalQuality:
    """How well one raw signal tells right answers from wrong ones."""

    name: str
    n: int
    """Checked answers that have it."""
    auroc: Estimate
    ece: Estimate
    """As if it were a probability; unknown for signals that do not claim to be one."""


@dataclass(frozen=True)
class ConfidenceQuality:
    """How honest one annotator's confidence is, measured on random audits weighted by their probability."""

    name: str
    n_answers: int
    n_compared: int
    """Answers to texts that a person answered too, for whatever reason."""
    n_audits: int
    """Those among them that chance picked; all estimates come from these."""
    accuracy: Estimate
    ece: Estimate
    auroc: Estimate
    brier: Estimate
    kept_50: Estimate
    """Accuracy of the surer half."""
    kept_80: Estimate
    reliability: tuple[ReliabilityBin, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    """Coverage and accuracy of what is kept, surest first."""
    signals: tuple[SignalQuality, ...] = ()


@dataclass(frozen=True)
class LLMQuality:
    """What people's answers say about the LLM annotators and about the calibrated probability."""

    annotators: tuple[ConfidenceQuality, ...]
    combined: ConfidenceQuality | None
    """The probability that was written down at review; None before the first review."""
    n_audits: int
    """Random audits that people have answered."""
    n_escalated: int
    """LLM-answered texts that people answered because something was odd; no estimate uses them."""
    note: str = ""
    """What is missing, in a sentence."""


@dataclass(frozen=True)
class Metrics:
    """Quality of predictions on labelled examples."""

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    ece: float
    log_loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the true class, columns the predicted one."""
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Certificate:
    """What the audit proves of the accepted LLM labels; `threshold` is None when nothing may be accepted."""

    threshold: float | None
    error_upper: float | None
    n_audited: int
    n_errors: int
    max_error: float
    confidence: float
    reason: str


@dataclass(frozen=True)
class RoundRecord:
    """One finished round, as it is kept in the store and shown in the report."""

    number: int
    n_human: int
    n_llm_accepted: int
    n_pseudo: int
    n_llm_answers: int
    cost_nanousd: int
    metrics: Metrics | None
    certificate: Certificate | None
    sources: tuple[Source, ...] = (Source.HUMAN,)
    """Sources that the guard let into the training set."""
    guard: str = ""
    pseudo_precision: float | None = None
    """Estimated share of right pseudo-labels."""
    pseudo_checked: tuple[int, int] | None = None
    """Of the last round's pseudo-labels: how many people have labelled since, and how many of those were right."""
    kappa: float | None = None
    """Agreement of this student's pool predictions with the last one's; None in the first round."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    stop_reason: str = ""
    n_synthetic: int = 0
    """Texts that an LLM wrote, among those that the student learned from."""


@dataclass(frozen=True)
class SpendingLine:
    """Money by model, prompt and round."""

    model: str
    prompt: str
    round: int
    n_calls: int
    n_tokens_in: int
    n_tokens_out: int
    cost_nanousd: int


@dataclass(frozen=True)
class HardExample:
    """An example that the student is least sure of, or most at odds with its annotators."""

    example_id: str
    text: str
    label: str | None
    predicted: str
    proba: float
    note: str = ""


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows, read from the store."""

    project: str
    labels: tuple[Label, ...]
    rounds: tuple[RoundRecord, ...]
    label_sources: Mapping[str, Mapping[str, int]]
    """Label name -> source -> number of exported labels."""
    spending: tuple[SpendingLine, ...]
    annotators: tuple[AnnotatorQuality, ...]
    hardest: tuple[HardExample, ...]
    n_pool: int
    n_test: int
    max_human_labels: int | None
    facts: tuple[tuple[str, str], ...] = ()
    """Extra claims with their values, for example the comparison with full supervision."""
    recipe: Mapping[str, str] = field(default_factory=dict)
    """`repr` of every step, so that the run can be repeated."""
    llm_quality: LLMQuality | None = None
    """How honest the LLM annotators are; None when no LLM took part."""
    people: PeopleFigures | None = None
    """How people worked; None when nobody answered."""
