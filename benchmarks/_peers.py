"""What `label_efficiency.py` compares with, each asked and answered in the same way from the same initial set."""

import logging
import tempfile
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from _curve import PROTOCOLS, Run
from _curve import Protocol as Budget
from _hast_peer import Hast
from _place import Place
from _small_text import MAX_PAIRS, Economy, SmallText
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from llm_al.types import Positions

_SETFIT_UNITS = (1, 2, 4, 8, 11)
"""With many classes SetFit is trained only at these multiples of the initial set."""


class Peer(Protocol):
    """A learner that asks, is answered, and is tested."""

    def learn(self, rows: Positions) -> None:
        """Take in the labels of some more rows."""
        ...

    def ask(self, k: int) -> Positions:
        """Return k distinct rows that have no label yet."""
        ...

    def test(self) -> NDArray[np.intp]:
        """Return the class indices of the test split."""
        ...


class Margin:
    """Logistic regression on frozen vectors, smallest margin, no self-training."""

    def __init__(self, place: Place, run: Run) -> None:
        self._place, self._run = place, run
        self._labelled: list[int] = []
        self._model = LogisticRegression(C=10.0, max_iter=1000)

    def learn(self, rows: Positions) -> None:
        """Train on all labels so far."""
        self._labelled += [int(row) for row in rows]
        with self._run.timed("fit"), threadpool_limits(limits=1):
            self._model.fit(self._place.embeddings[self._labelled], self._place.task.gold[self._labelled])

    def ask(self, k: int) -> Positions:
        """Return the k rows with the smallest gap between the two likeliest classes."""
        unlabelled = np.setdiff1d(np.arange(len(self._place.task.texts)), self._labelled)
        with self._run.timed("query"):
            proba = self._model.predict_proba(self._place.embeddings[unlabelled])
            runner_up, best = np.partition(proba, -2, axis=1)[:, -2:].T
            rows: Positions = unlabelled[np.argsort(best - runner_up, kind="stable")[:k]]
        return rows

    def test(self) -> NDArray[np.intp]:
        """Return the class indices of the test split."""
        return np.asarray(self._model.predict(self._place.test_embeddings), dtype=np.intp)


class RandomSetFit:
    """The setfit library on random labels, at its defaults but for the number of pairs."""

    def __init__(self, place: Place, run: Run, economy: Economy) -> None:
        self._place, self._run, self._economy = place, run, economy
        self._labelled: list[int] = []
        self._rng = np.random.default_rng([run.seed, 2])
        n_classes = len(place.task.labels)
        self._points = points_of("setfit-random", PROTOCOLS[run.protocol].of(n_classes), n_classes)
        self._model: Any = None

    def learn(self, rows: Positions) -> None:
        """Train on all labels so far, but only where a test follows: nothing is asked of the model."""
        self._labelled += [int(row) for row in rows]
        if len(self._labelled) in self._points:
            with tempfile.TemporaryDirectory() as folder, self._run.timed("fit"):
                self._model = self._trained(folder)

    def ask(self, k: int) -> Positions:
        """Return k random rows."""
        unlabelled = np.setdiff1d(np.arange(len(self._place.task.texts)), self._labelled)
        return self._rng.choice(unlabelled, k, replace=False)

    def test(self) -> NDArray[np.intp]:
        """Return the class indices of the test split."""
        texts = self._place.task.test_texts
        return np.asarray(self._model.predict(texts, batch_size=64, use_labels=False), dtype=np.intp)

    def _trained(self, folder: str) -> Any:
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments
        from transformers import PrinterCallback, ProgressCallback

        task = self._place.task
        model = SetFitModel.from_pretrained(self._place.folder)
        arguments = TrainingArguments(
            output_dir=folder,
            num_iterations=iterations(len(self._labelled), self._economy.max_pairs),
            seed=self._run.seed,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            show_progress_bar=False,
        )
        data = {"text": [task.texts[row] for row in self._labelled], "label": task.gold[self._labelled].tolist()}
        trainer = Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict(data))
        for callback in (ProgressCallback, PrinterCallback):
            trainer.st_trainer.remove_callback(callback)
        with _economical(self._economy):
            trainer.train()
        return model


def iterations(n_labels: int, max_pairs: int = MAX_PAIRS) -> int:
    """Return SetFit's pair iterations: its usual 20 for few labels, fewer so that a fit stays under a minute."""
    return max(1, min(20, max_pairs // (2 * n_labels)))


def _economical(economy: Economy) -> Any:
    logging.getLogger("setfit").setLevel(logging.WARNING)
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=economy.bf16)


_Maker = Callable[[Place, Run, Economy], Peer]


def _small_text(strategy: str) -> _Maker:
    return lambda place, run, economy: SmallText(place.task, place.folder, run, strategy=strategy, economy=economy)


_MAKERS: dict[str, _Maker] = {
    "small-text": _small_text("breaking ties"),
    "small-text-contrastive": _small_text("contrastive"),
    "setfit-random": RandomSetFit,
    "margin": lambda place, run, _economy: Margin(place, run),
    "hast": lambda place, run, economy: Hast(place.task, place.folder, run, economy=economy),
}
NAMES = tuple(_MAKERS)


def settings_of(name: str, place: Place, economy: Economy) -> dict[str, Any]:
    """Return what decides the result of a peer, beside its name."""
    if name == "margin":
        return {}
    found = economy.settings(pool_rows=len(place.task.texts))
    return {**found, "subpool": None, "max_pairs": economy.max_pairs} if name == "setfit-random" else found


def points_of(name: str, budget: Budget, n_classes: int) -> tuple[int, ...]:
    """Return the points at which a peer is tested: fewer for SetFit with many classes, whose fits are slow."""
    if name != "setfit-random" or len(budget.points) <= 6:
        return budget.points
    return tuple(n for n in budget.points if n in {unit * n_classes for unit in _SETFIT_UNITS})


def run_peer(place: Place, budget: Budget, *, economy: Economy, first: Positions, run: Run) -> Run:
    """Fill in the curve of the peer that `run` names, from an initial set on."""
    if economy.threads:
        torch.set_num_threads(economy.threads)
    points = points_of(run.learner, budget, len(place.task.labels))
    peer = _MAKERS[run.learner](place, run, economy)
    peer.learn(first)
    for n_labels, following in zip(budget.sizes, [*budget.sizes[1:], None], strict=True):
        if n_labels in points:
            with run.timed("test"):
                predicted = peer.test()
            run.score(n_labels, predicted, place.task.test_gold)
        if following is not None and n_labels < max(points):
            peer.learn(peer.ask(following - n_labels))
    return run
