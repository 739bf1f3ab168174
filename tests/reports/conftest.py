"""A run as it comes out of a store: six rounds, ten labels, an LLM with three prompts."""

from dataclasses import replace

import pytest

from llm_al.measures import (
    AgreementFigures,
    Certificate,
    ClassMetrics,
    ConfidenceQuality,
    CoverageFigures,
    Estimate,
    FormFigures,
    HardExample,
    LLMQuality,
    Metrics,
    PairFigures,
    PeopleFigures,
    PersonFigures,
    ReliabilityBin,
    ReportData,
    RoundRecord,
    SignalQuality,
    SpendingLine,
)
from llm_al.reports import html
from llm_al.types import AnnotatorKind, AnnotatorQuality, Label, Source

LABELS = (
    Label("delivery", "Where is the parcel, late, lost or damaged on the way."),
    Label("return", "The customer wants to send something back."),
    Label("refund", "Money that should come back and has not."),
    Label("product question", "Size, material, fit, before buying."),
    Label("defect", "The product broke or never worked."),
    Label("order change", "Change or cancel an order that has not left."),
    Label("payment", "Card refused, charged twice, invoice."),
    Label("account", "Log in, password, data."),
    Label("praise", "Thanks, nothing to do."),
    Label("stock", "When will it be available again."),
)
SHARES = (72, 48, 33, 40, 30, 22, 20, 14, 12, 9)
MODELS = (("gpt-4o-mini", 0.07), ("llama-3.3-70b-instruct", 0.11))
PROMPTS = ("classify.v1", "classify_reversed.v1", "classify_terse.v1")


def metrics_of(names, supports, *, accuracy):
    n_classes = len(names)
    confusion = [[0] * n_classes for _ in names]
    for true, support in enumerate(supports):
        right = min(support, round(support * min(1.0, accuracy + 0.03 * ((true * 7) % 5 - 2))))
        confusion[true][true] = right
        confusion[true][(true + 1) % n_classes] += (support - right + 1) // 2
        confusion[true][(true + 4) % n_classes] += (support - right) // 2
    per_class = []
    for position, name in enumerate(names):
        predicted = sum(row[position] for row in confusion)
        recall = confusion[position][position] / supports[position]
        precision = confusion[position][position] / predicted if predicted else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        per_class.append(ClassMetrics(name, precision, recall, f1, supports[position]))
    n = sum(supports)
    share = sum(confusion[i][i] for i in range(n_classes)) / n
    half = 1.96 * (share * (1 - share) / n) ** 0.5
    bins = tuple(
        ReliabilityBin(i / 10, (i + 1) / 10, size, i / 10 + 0.055, min(1.0, i / 10 + 0.03 + 0.01 * (i % 3)))
        for i, size in enumerate((0, 2, 5, 8, 12, 17, 24, 34, 61, 137))
    )
    return Metrics(
        n=n,
        accuracy=share,
        accuracy_low=max(0.0, share - half),
        accuracy_high=min(1.0, share + half),
        macro_f1=sum(entry.f1 for entry in per_class) / n_classes - 0.012,
        ece=0.0312,
        log_loss=0.341,
        per_class=tuple(per_class),
        confusion=tuple(map(tuple, confusion)),
        reliability=bins,
    )


def make_run():
    names = [label.name for label in LABELS]
    accuracies = (0.61, 0.74, 0.81, 0.855, 0.885, 0.905)
    guards = (
        "no LLM label was accepted yet",
        "LLM labels raise cross-validated accuracy by 4.1 points; pseudo-labels lower it by 1.3 and stay out",
        "LLM labels +3.2 points, pseudo-labels +0.4",
        "LLM labels +2.8 points, pseudo-labels +0.7",
        "LLM labels +2.1 points, pseudo-labels -0.6: kept out",
        "LLM labels +1.9 points, pseudo-labels +0.5",
    )
    rounds = []
    for i, accuracy in enumerate(accuracies):
        n_llm = (0, 61, 138, 221, 309, 402)[i]
        pseudo = (0, 0, 84, 96, 0, 71)[i]
        sources = [Source.HUMAN] + [Source.LLM] * bool(n_llm) + [Source.PSEUDO] * bool(pseudo)
        certificate = Certificate(0.8125, 0.0931, 14 * i, i // 2, 0.1, 0.95, "") if n_llm else None
        rounds.append(
            RoundRecord(
                number=i + 1,
                n_human=30 + 20 * i,
                n_llm_accepted=n_llm,
                n_pseudo=pseudo,
                n_llm_answers=300 * i,
                cost_nanousd=61_482_150 * i,
                metrics=metrics_of(names, SHARES, accuracy=accuracy),
                certificate=certificate,
                sources=tuple(sources),
                guard=guards[i],
                pseudo_precision=0.93 + 0.005 * i if pseudo else None,
                kappa=(None, 0.71, 0.83, 0.9, 0.94, 0.962)[i],
                seconds={"embed": 6.1 if i == 0 else 0.0, "select": 0.21, "annotate": 4.4, "consensus": 0.12}
                | {"pseudo-label": 0.34, "train": 11.8 + i, "evaluate": 0.9},
                stop_reason="the human budget of 130 labels is used up" if i == 5 else "",
            )
        )
    spending = tuple(
        SpendingLine(
            model, prompt, number, 50, 21_350 + 13 * number, 512, int(1e9 * share * (0.05 + 0.004 * number)) + 150
        )
        for number in range(2, 7)
        for model, share in MODELS
        for prompt in PROMPTS
    )
    annotators = (
        AnnotatorQuality("maria", AnnotatorKind.HUMAN, 81, 0.981, 0.93, 0.998, 22),
        AnnotatorQuality("jonas", AnnotatorKind.HUMAN, 49, 0.958, 0.88, 0.99, 22),
        AnnotatorQuality("gpt-4o-mini/classify.v1", AnnotatorKind.LLM, 500, 0.887, 0.82, 0.93, 92),
        AnnotatorQuality("gpt-4o-mini/classify_reversed.v1", AnnotatorKind.LLM, 500, 0.871, 0.80, 0.92, 92),
        AnnotatorQuality("llama-3.3-70b/classify_terse.v1", AnnotatorKind.LLM, 250, 0.842, 0.76, 0.90, 92),
        AnnotatorQuality("keywords", AnnotatorKind.RULE, 66, 0.72, 0.58, 0.83, 31),
        AnnotatorQuality("new colleague", AnnotatorKind.HUMAN, 2, None),
    )
    hardest = (
        HardExample("m-0417", "It came. It broke. I want it gone.", "return", "defect", 0.41, "three labels fit"),
        HardExample(
            "m-0033",
            "hi, " + "so I ordered the tent on the 3rd and then again by mistake, " * 6,
            "payment",
            "order change",
            0.38,
        ),
        HardExample("m-0588", "ok", None, "praise", 0.29, "annotators gave no label"),
        HardExample("m-0102", "وين الطرد مالي؟ 🙂", "delivery", "product question", 0.33, "unlike all other texts"),
    )
    return ReportData(
        project="Ridgeline customer messages",
        labels=LABELS,
        rounds=tuple(rounds),
        label_sources={
            name: {"human": max(2, share * 130 // 300), "llm": share * 402 // 300, "pseudo": share * 71 // 300}
            for name, share in zip(names, SHARES, strict=True)
        },
        spending=spending,
        annotators=annotators,
        hardest=hardest,
        n_pool=700,
        n_test=300,
        max_human_labels=130,
        facts=(
            ("Macro-F1 of training on all 700 gold labels", "0.921"),
            ("Share of that macro-F1 reached", "97.1%"),
            ("Answered by a person", "18.6% of the pool"),
        ),
        recipe={
            "embedder": "Sentence(model='all-MiniLM-L6-v2', batch_size=32, max_tokens=256, dtype='float32')",
            "strategy": "Strategy(scorer=Margin(), selector=ClusterMargin(n_candidates=10))",
            "student": "Transformer(model='all-MiniLM-L6-v2', epochs=20, learning_rate=5e-05)",
            "seed": "0",
        },
    )


def bare(run):
    """The newest round alone, without the figures that other tests look at."""
    return replace(run, rounds=run.rounds[-1:], label_sources={}, annotators=(), spending=())


def nothing_yet():
    """A project that was created and never run."""
    return ReportData("new", LABELS, (), {}, (), (), (), n_pool=0, n_test=0, max_human_labels=None)


@pytest.fixture(scope="session")
def run():
    return make_run()


@pytest.fixture(scope="session")
def page(run):
    return html.render(run)


@pytest.fixture(scope="session")
def small_run(run):
    return bare(run)


@pytest.fixture
def empty_run():
    return nothing_yet()


def confidence_of(name, *, n=180, sharpness=1.0, why=""):
    """An annotator whose audits are right as often as `sharpness` of its confidence says."""
    if why:
        unknown = Estimate(None, reason=why)
        accuracy = Estimate(0.8, 0.73, 0.86)
        signals = (SignalQuality("token_probability", 0, unknown, unknown),)
        return ConfidenceQuality(name, 500, 210, n, accuracy, *(unknown,) * 5, signals=signals)
    sizes = (2, 3, 4, 6, 9, 12, 18, 26, 40, 60)
    bins = tuple(
        ReliabilityBin(i / 10, (i + 1) / 10, size, i / 10 + 0.05, min(1.0, 0.7 + sharpness * (i / 10 - 0.65)))
        for i, size in enumerate(sizes)
    )
    curve = tuple((share / 20, 0.98 - 0.16 * sharpness * (share / 20) ** 2) for share in range(1, 21))
    return ConfidenceQuality(
        name, 500, 210, n,
        accuracy=Estimate(0.82, 0.755, 0.872), ece=Estimate(0.041, 0.024, 0.093), auroc=Estimate(0.812, 0.745, 0.87),
        brier=Estimate(0.12, 0.1, 0.15), kept_50=Estimate(0.96, 0.9, 0.99), kept_80=Estimate(0.9, 0.84, 0.95),
        reliability=bins, curve=curve,
        signals=(
            SignalQuality("confidence", n, Estimate(0.7, 0.6, 0.78), Estimate(0.2, 0.15, 0.26)),
            SignalQuality("invalid_mass", n, Estimate(0.55, 0.5, 0.6), Estimate(None, reason="no probability")),
            SignalQuality("p_true", 0, Estimate(None, reason="unknown: not asked"), Estimate(None, reason="unknown")),
        ),
    )  # fmt: skip


@pytest.fixture(scope="session")
def confident_run(run):
    """The run with what audits say about its LLM annotators."""
    annotators = (
        confidence_of("gpt-4o-mini/classify.v1", sharpness=0.4),
        confidence_of("gpt-4o-mini/classify_reversed.v1", sharpness=0.5),
        confidence_of("llama-3.3-70b/classify_terse.v1", why="unknown: no logprobs from this server"),
    )
    note = "estimates come from 180 random audits; 30 more answers of people are left out"
    quality = LLMQuality(annotators, confidence_of("calibrated probability"), 180, 30, note)
    return replace(run, llm_quality=quality)


def person_of(name, n, **changes):
    """Somebody who has answered `n` texts."""
    why = "no question with a known label answered"
    plain = PersonFigures(
        name, n, n // 20, n // 30, n / 15, 4.0, Estimate(0.91, 0.8, 0.97), n // 2, Estimate(0.84),
        Estimate(None, reason=why), 0, 0, Estimate(None, reason="nothing was asked twice"), 0,
        Estimate(0.72, 0.6, 0.8), n // 3, Estimate(0.93, 0.8, 0.99), Estimate(0.9, 0.7, 0.98), 1e9,
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture(scope="session")
def peopled_run(run):
    """The run with what two people's answers say."""
    gold = {"n_gold": 12, "n_gold_right": 11, "gold": Estimate(11 / 12, 0.62, 0.998)}
    maria = person_of("human:maria", 81, **gold, n_re_asked=4, steadiness=Estimate(0.75, 0.19, 0.99))
    alone = Estimate(None, reason="no text of theirs has a ruling or answers of others")
    jonas = person_of("human:jonas", 49, accuracy=alone, agreement=Estimate(None, reason="undefined because x"))
    labels = tuple((label.name, Estimate(0.4 + 0.06 * i)) for i, label in enumerate(LABELS))
    agreement = AgreementFigures(
        22, 19, 2, Estimate(0.846), Estimate(None, reason="undefined because examples have 2 to 3 answers"),
        Estimate(0.84), (*labels, ("rare", Estimate(None, reason="undefined because only one label occurs"))),
        (PairFigures("human:jonas", "human:maria", 22, 19 / 22, Estimate(0.84)),),
    )  # fmt: skip
    people = PeopleFigures(
        persons=(maria, jonas),
        agreement=agreement,
        forms=(FormFigures("list", 90, 5.2, 14.0), FormFigures("verify", 40, 1.9, 4.4)),
        coverage=(CoverageFigures("candidates", 64, 2, 0.95, Estimate(0.969, 0.89, 0.996), 4.3),),
        acceptance=Estimate(0.72, 0.6, 0.8),
        accuracy_shown=Estimate(0.93, 0.8, 0.99),
        accuracy_hidden=Estimate(0.9, 0.7, 0.98),
        n_answers=130,
        n_skips=6,
        minutes=8.7,
        median_s=4.0,
        n_rulings=7,
        n_gold=1,
        n_flags=2,
    )
    return replace(run, people=people)
