"""How honest the calibrated probability of an LLM label is, on recorded answers.

For each file, half of people's answers calibrate and the other half test, over random splits; equal texts stay on one
side. Everything is the product's: annotations become evidence (`gather_evidence`), beside a student (a head on frozen
embeddings, fitted on the calibrating half, its view of that half out of fold) and the nearest calibrating texts (a text
itself left out), and `Calibrator.fit` turns evidence into a probability. Nothing is chosen on a testing half, but for
the rival: the best single raw signal is picked on the testing half itself, in its favour.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _recorded import SOURCES, Recorded, made_up, read_recorded
from _results import Claim, table, write
from numpy.typing import NDArray

from llm_al import registry
from llm_al.evaluation.selective import Checked, auroc, brier, calibration_error, kept_accuracy
from llm_al.routers.agreement import smoothed_agreement
from llm_al.routers.calibration import Calibrator
from llm_al.routers.evidence import Context, Evidence, gather_evidence
from llm_al.routers.neighbours import neighbour_shares
from llm_al.students.head import Head
from llm_al.types import Proba, TrainingSet
from llm_al.weights import resolve

NAME = "llm_confidence"
N_FOLDS = 5
N_NEIGHBOURS = 10
MAX_ECE, LEAST_GAIN = 0.05, 0.05
ALL = "all"
FEATURES = (ALL, "LLM signals only", "all, from 300 human answers")
N_FEW = 300


@dataclass(frozen=True)
class Row:
    """One split of one file."""

    data: str
    label: str
    features: str
    seed: int
    n_calibrating: int
    n_test: int
    n_without_label: int
    accuracy: float
    ece: float
    auroc: float
    brier: float
    kept_50: float
    kept_80: float
    best_signal: str
    best_signal_auroc: float
    best_signal_kept_50: float
    best_signal_kept_80: float
    signals: dict[str, float] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        """AUROC above the best single signal."""
        return self.auroc - self.best_signal_auroc


@dataclass(frozen=True)
class Key:
    """What tells one row from another within a file."""

    label: str
    features: str
    seed: int


@dataclass(frozen=True)
class Split:
    """Positions of both halves, and what student and neighbours say about all rows."""

    calibrating: NDArray[np.intp]
    testing: NDArray[np.intp]
    proba: Proba
    neighbours: Proba


def split_of(
    data: Recorded, embeddings: NDArray[np.float32], encoder: str, *, seed: int, n_human: int | None = None
) -> Split:
    """Halve the texts at random and look at both halves with what (some of) the calibrating one teaches."""
    rng = np.random.default_rng([seed, 0])
    side = rng.permutation(data.groups.max() + 1) % 2
    calibrating, testing = (np.flatnonzero(side[data.groups] == half) for half in (0, 1))
    calibrating = np.sort(rng.permutation(calibrating)[:n_human])
    proba = np.zeros((len(data.examples), len(data.labels)))
    proba[testing] = _student(data, embeddings, encoder, fit_on=calibrating, predict=testing)
    fold = rng.permutation(len(calibrating)) % N_FOLDS
    for number in range(N_FOLDS):
        held_out = calibrating[fold == number]
        proba[held_out] = _student(data, embeddings, encoder, fit_on=calibrating[fold != number], predict=held_out)
    neighbours = np.zeros_like(proba)
    neighbours[testing] = _shares(data, embeddings, testing, calibrating, N_NEIGHBOURS)
    neighbours[calibrating] = _without_itself(data, embeddings, calibrating)
    return Split(calibrating, testing, proba, neighbours)


def _student(
    data: Recorded,
    embeddings: NDArray[np.float32],
    encoder: str,
    *,
    fit_on: NDArray[np.intp],
    predict: NDArray[np.intp],
) -> Proba:
    known = fit_on[data.human[fit_on] >= 0]
    texts = [data.examples[row].text for row in known]
    training = TrainingSet(texts, np.eye(len(data.labels))[data.human[known]], np.ones(len(known)), embeddings[known])
    # The calibrator does what the student's own temperature would do; without it a fit is five times faster.
    student = Head(encoder, n_folds=0).fit(training, labels=data.labels, seed=0)
    return student.predict_proba([data.examples[row].text for row in predict], embeddings=embeddings[predict])


def _shares(
    data: Recorded, embeddings: NDArray[np.float32], rows: NDArray[np.intp], known: NDArray[np.intp], k: int
) -> Proba:
    found = neighbour_shares(
        embeddings[rows],
        embeddings[known],
        label_index=data.human[known],
        n_classes=len(data.labels),
        n_neighbours=k,
    )
    return np.zeros((len(rows), len(data.labels))) if found is None else found


def _without_itself(data: Recorded, embeddings: NDArray[np.float32], rows: NDArray[np.intp]) -> Proba:
    # A text is its own nearest neighbour; its vote is taken back.
    shares = _shares(data, embeddings, rows, rows, N_NEIGHBOURS + 1) * (N_NEIGHBOURS + 1)
    inside = np.flatnonzero(data.human[rows] >= 0)
    shares[inside, data.human[rows[inside]]] -= 1.0
    return np.clip(shares / N_NEIGHBOURS, 0.0, 1.0)


def cases_of(data: Recorded, split: Split, labels: Sequence[str | None] | None, *, has_context: bool) -> list[Evidence]:
    """Return the evidence on every text."""
    context = Context(data.labels, split.proba, split.neighbours) if has_context else Context(data.labels)
    return gather_evidence(data.examples, data.annotations, context, labels=labels)


def raw_signals(cases: Sequence[Evidence], n_classes: int) -> dict[str, NDArray[np.float64]]:
    """Return every single signal as a score of the label; what an answer does not have counts as the mean.

    The confidence of a run that gives another label speaks against the label, both as recorded and with its sign.
    """
    runs = sorted({run for case in cases for run in case.votes})
    sure = sorted({run for case in cases for run in case.confidences})
    found = {
        "agreement of the models, smoothed": np.array([case.agreement for case in cases]),
        "agreement of all runs, smoothed": np.array([_all_runs(case, n_classes) for case in cases]),
        "mean confidence of the runs that agree": _filled([case.confidence for case in cases]),
    }
    for run in sure:
        found[f"confidence of {run}"] = _filled([case.confidences.get(run) for case in cases])
        found[f"confidence of {run}, signed"] = _filled([_signed(case, run) for case in cases])
    if len(runs) > 1:
        for run in runs:
            found[f"vote of {run}"] = _filled(
                [float(case.votes[run] == case.label) if run in case.votes else None for case in cases]
            )
    return {name: values for name, values in found.items() if np.ptp(values) > 0}


def _all_runs(case: Evidence, n_classes: int) -> float:
    votes = list(case.votes.values())
    return smoothed_agreement(sum(vote == case.label for vote in votes), len(votes), n_classes)


def _signed(case: Evidence, run: str) -> float | None:
    if run not in case.confidences or run not in case.votes:
        return None
    return case.confidences[run] if case.votes[run] == case.label else 1.0 - case.confidences[run]


def _filled(values: Sequence[float | None]) -> NDArray[np.float64]:
    known = [value for value in values if value is not None]
    mean = float(np.mean(known)) if known else 0.0
    return np.array([mean if value is None else value for value in values])


def measure(data: Recorded, embeddings: NDArray[np.float32], encoder: str, seeds: int) -> Iterator[Row]:
    """Yield one row a split, label and set of features."""
    for seed in range(seeds):
        half = split_of(data, embeddings, encoder, seed=seed)
        few = split_of(data, embeddings, encoder, seed=seed, n_human=N_FEW)
        voted = [case.label for case in cases_of(data, half, None, has_context=True)]
        for label, labels in {"consensus": voted, "main run": data.main}.items():
            for features, split in zip(FEATURES, (half, half, few), strict=True):
                cases = cases_of(data, split, labels, has_context=features.startswith(ALL))
                yield _measure(data, split, cases, Key(label, features, seed))


def _measure(data: Recorded, split: Split, cases: Sequence[Evidence], key: Key) -> Row:
    # A case without a label is given to people; leaving it out keeps every score from looking better than it is.
    halves = [[row for row in half if cases[row].label is not None] for half in (split.calibrating, split.testing)]
    learn, test = ([cases[row] for row in half] for half in halves)
    is_right = [
        data.is_correct(np.array(half), [case.label for case in part])
        for half, part in zip(halves, (learn, test), strict=True)
    ]
    p = Calibrator.fit(learn, is_right[0]).predict(test)
    checked = Checked.of(p, is_right[1])
    rivals = {name: Checked.of(values, is_right[1]) for name, values in raw_signals(test, len(data.labels)).items()}
    signals = {name: auroc(rows) for name, rows in rivals.items()}
    best = max(signals, key=lambda name: signals[name])
    return Row(
        data.name,
        key.label,
        key.features,
        key.seed,
        n_calibrating=len(learn),
        n_test=len(test),
        n_without_label=len(split.testing) - len(test),
        accuracy=float(is_right[1].mean()),
        ece=calibration_error(checked),
        auroc=auroc(checked),
        brier=brier(checked),
        kept_50=kept_accuracy(checked, 0.5),
        kept_80=kept_accuracy(checked, 0.8),
        best_signal=best,
        best_signal_auroc=signals[best],
        best_signal_kept_50=kept_accuracy(rivals[best], 0.5),
        best_signal_kept_80=kept_accuracy(rivals[best], 0.8),
        signals={name: round(value, 4) for name, value in signals.items() if not name.startswith("vote")},
    )


def claims_of(rows: Sequence[Row], n_asked: int = 4) -> list[Claim]:
    """Return what is asked: on the consensus label, with all features, for the four files named."""
    asked = [source.name for source in SOURCES[:n_asked]]
    claims = []
    for name in dict.fromkeys(row.data for row in rows):
        mine = [row for row in rows if row.data == name and row.label == "consensus" and row.features == ALL]
        if name not in asked:
            continue
        splits = f"consensus label, mean of {len(mine)} splits"
        gain = float(np.mean([row.gain for row in mine]))
        claims += [
            Claim(f"{name}: ECE, {splits}", _mean(mine, "ece"), MAX_ECE, "lower", "ECE"),
            Claim(f"{name}: AUROC above the best single signal, {splits}", gain, LEAST_GAIN, "higher", "AUROC"),
        ]
    return claims


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean([getattr(row, name) for row in rows]))


_COLUMNS = ("accuracy", "ece", "auroc", "best_signal_auroc", "gain", "brier", "kept_50", "kept_80")


def sections_of(rows: Sequence[Row]) -> dict[str, str]:
    """Return the means over splits, by label and features."""
    sections = {}
    for label in dict.fromkeys(row.label for row in rows):
        shown: list[dict[str, Any]] = []
        for name in dict.fromkeys(row.data for row in rows):
            for features in FEATURES:
                mine = [r for r in rows if (r.data, r.label, r.features) == (name, label, features)]
                best = max(dict.fromkeys(r.best_signal for r in mine), key=[r.best_signal for r in mine].count)
                numbers = {column: _mean(mine, column) for column in _COLUMNS}
                shown.append({"data": name, "features": features, **numbers, "best signal": best.replace("|", "\\|")})
        sections[f"Label of the {label}"] = table(shown, ["data", "features", *_COLUMNS, "best signal"])
    return sections


def embed(data: Recorded, encoder: str, cache: Path | None) -> NDArray[np.float32]:
    """Return the embeddings of all texts, kept in a folder when one is given."""
    path = cache / f"{data.name.replace(' ', '_').replace(',', '')}.npy" if cache else None
    if path is not None and path.is_file():
        return np.asarray(np.load(path), dtype=np.float32)
    texts = [example.text for example in data.examples]
    vectors: NDArray[np.float32] = registry.make("embedder", "sentence", model=encoder).encode(texts)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, vectors)
    return vectors


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with llm_annotations/<file>.jsonl.gz")
    parser.add_argument("--only", help="files whose name holds this")
    parser.add_argument("--encoder", default="offline", help="hub name, local folder, or 'offline'")
    parser.add_argument("--seeds", type=int, default=5, help="random splits of each file")
    parser.add_argument("--cache", type=Path, help="folder to keep embeddings in")
    parser.add_argument("--quick", action="store_true", help="a smoke run on made-up answers; its figures mean nothing")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    if options.data is None and not options.quick:
        parser.error("--data is missing; give the folder of the data sets, or --quick for made-up answers")
    return options


def _files(options: argparse.Namespace) -> Iterator[Recorded]:
    if options.quick:
        yield made_up()
        return
    for source in SOURCES:
        if not options.only or options.only in source.name:
            yield read_recorded(options.data / "llm_annotations", source)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    encoder = resolve(options.encoder)
    rows: list[Row] = []
    for data in _files(options):
        embeddings = embed(data, encoder, options.cache)
        for row in measure(data, embeddings, encoder, 1 if options.quick else options.seeds):
            rows.append(row)
            print(
                f"{row.data} | {row.label} | {row.features} | {row.seed}: ECE {row.ece:.3f}, AUROC {row.auroc:.3f}, "
                f"{row.gain:+.3f} on {row.best_signal}",
                flush=True,
            )
        # Written after every file, so that a stopped benchmark keeps what it has measured.
        shown = [{**asdict(row), "gain": row.gain} for row in rows]
        path = write(options.out, NAME, claims=claims_of(rows), rows=shown, sections=sections_of(rows))
    for claim in claims_of(rows):
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.3f} (target {claim.target:.3f})")
    print(path)


if __name__ == "__main__":
    main()
