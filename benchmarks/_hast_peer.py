"""HAST exactly as published, on a plainly fine-tuned encoder: a peer, apart from the package's own parts.

Schroeder & Heyer (2024). Self-Training for Sample-Efficient Active Learning for Text Classification with Pre-Trained
Language Models. Findings of EMNLP. Breaking ties asks; pseudo-labels have the paper's settings (class weights on,
beta .1, k 15). The paper takes a tenth of the budget for validation; here nothing is, and epochs are fixed. Its rule
that keeps the pairs of SetFit level becomes: as many steps on labels and pseudo-labels as on labels alone, but one
pass at least.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from _curve import Run
from _data import Task
from _small_text import EPOCHS, Economy, load_tokenizer, longest_text
from numpy.typing import NDArray
from torch import Tensor, nn

from llm_al.types import Positions

_BATCH_SIZE, _ENCODER_LR, _HEAD_LR, _WARMUP, _SCALE = 16, 1e-4, 5e-3, 0.1, 8.0
_MAX_SAMPLE, _K, _BETA, _CLASS_FACTOR = 16384, 15, 0.1, 10.0
_MAX_EXPONENT = 50.0
_PREDICT_BATCH = 64


class _Network(nn.Module):
    """Mean over tokens, unit length times a scale, linear head."""

    def __init__(self, folder: str, n_classes: int, *, bf16: bool) -> None:
        from transformers import AutoModel

        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        self.head = nn.Linear(self.encoder.config.hidden_size, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.bf16 = bf16

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (b, c) and unit features (b, d)."""
        with self._autocast():
            states = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        shares = mask.unsqueeze(-1).float()
        features = nn.functional.normalize((states.float() * shares).sum(1) / shares.sum(1), dim=-1)
        return self.head(features * _SCALE), features


def _rate(step: int, n_steps: int) -> float:
    n_warm = max(1, round(_WARMUP * n_steps))
    return (step + 1) / n_warm if step < n_warm else (n_steps - step) / max(1, n_steps - n_warm)


def steps_of(n_labels: int, n_pseudo: int = 0, *, epochs: int = EPOCHS) -> int:
    """Return the optimiser's steps: level for any number of pseudo-labels, but one pass at least."""
    return max(epochs * math.ceil(n_labels / _BATCH_SIZE), math.ceil((n_labels + n_pseudo) / _BATCH_SIZE))


def pseudo_labels(
    proba: NDArray[np.float64], features: NDArray[np.float32], *, beta: float = _BETA, k: int = _K
) -> tuple[Positions, NDArray[np.intp], NDArray[np.float64]]:
    """Return kept rows of a sample, their classes and weights, by steps 2 to 4 of the paper's algorithm.

    Parameters
    ----------
    proba : ndarray of shape (m, c)
    features : ndarray of shape (m, d)
        Unit rows, by the model that gave `proba`.
    """
    predicted, n_classes = proba.argmax(axis=1), proba.shape[1]
    n_near = min(k - 1, len(proba) - 1)
    votes = np.zeros(proba.shape)
    for start in range(0, len(proba), 1024):
        similarity = features[start : start + 1024] @ features.T
        similarity[np.arange(len(similarity)), start + np.arange(len(similarity))] = -np.inf
        near = np.argpartition(-similarity, n_near - 1, axis=1)[:, :n_near]
        np.add.at(votes, (start + np.repeat(np.arange(len(near)), n_near), predicted[near].ravel()), 1.0 / n_near)
    is_kept = (votes.argmax(axis=1) == predicted) & (proba.max(axis=1) > 0.5) & (votes.max(axis=1) > 0.5)
    kept = np.flatnonzero(is_kept)
    counts = np.bincount(predicted[kept], minlength=n_classes).astype(np.float64)
    gap = np.floor(counts.sum() / n_classes) - counts
    exponent = np.clip(gap / np.maximum(counts, 1.0), -_MAX_EXPONENT, _MAX_EXPONENT)
    factor = _CLASS_FACTOR / (1.0 + np.exp(-exponent))
    return kept, predicted[kept], factor[predicted[kept]] * beta


class Hast:
    """Breaking ties and self-training with pseudo-labels that are thrown away after each round."""

    def __init__(self, task: Task, folder: str, run: Run, *, economy: Economy) -> None:
        self._task, self._run, self._folder, self._economy = task, run, folder, economy
        self._rng = np.random.default_rng([run.seed, 1])
        torch.manual_seed(run.seed)
        with run.timed("prepare"):
            tokenizer = load_tokenizer(folder)
            length = longest_text(tokenizer, task, economy)
            self._ids, self._test_ids = (
                tokenizer(texts, truncation=True, max_length=length)["input_ids"]
                for texts in (task.texts, task.test_texts)
            )
        self._labelled: list[int] = []
        self._network: _Network | None = None

    def learn(self, rows: Positions) -> None:
        """Train afresh on all labels, then go on with pseudo-labels."""
        self._labelled += [int(row) for row in rows]
        labelled = np.array(self._labelled)
        network = _Network(self._folder, len(self._task.labels), bf16=self._economy.bf16)
        with self._run.timed("fit"):
            self._train(network, labelled, self._task.gold[labelled], np.ones(len(labelled)))
        with self._run.timed("pseudo"):
            sample = self._sample(_MAX_SAMPLE)
            proba, features = self._predict(network, [self._ids[int(row)] for row in sample])
            kept, classes, weights = pseudo_labels(proba, features)
        n_labels = len(labelled)
        if len(kept):
            self._run.pseudo_precision[n_labels] = float((classes == self._task.gold[sample[kept]]).mean())
        with self._run.timed("fit"):
            self._train(
                network,
                np.concatenate([labelled, sample[kept]]),
                np.concatenate([self._task.gold[labelled], classes]),
                np.concatenate([np.ones(n_labels), weights]),
            )
        self._network = network

    def ask(self, k: int) -> Positions:
        """Return the k rows with the smallest gap between the two likeliest classes."""
        with self._run.timed("query"):
            sample = self._sample(len(self._ids))
            proba = self._predict(self._fitted, [self._ids[int(row)] for row in sample])[0]
            runner_up, best = np.partition(proba, -2, axis=1)[:, -2:].T
            order = np.lexsort((self._rng.random(len(sample)), best - runner_up))
            rows: Positions = sample[order[:k]]
        return rows

    def test(self) -> NDArray[np.intp]:
        """Return the class indices of the test split."""
        return self._predict(self._fitted, self._test_ids)[0].argmax(axis=1)

    @property
    def _fitted(self) -> _Network:
        if self._network is None:
            raise SystemExit("HAST was asked before it has learned; call learn first")
        return self._network

    def _sample(self, n: int) -> Positions:
        unlabelled = np.setdiff1d(np.arange(len(self._ids)), self._labelled)
        n = min(n, len(unlabelled), self._economy.subpool or len(unlabelled))
        return np.sort(self._rng.choice(unlabelled, n, replace=False))

    def _train(
        self, network: _Network, rows: Positions, classes: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> None:
        n_labels = len(self._labelled)
        n_steps = steps_of(n_labels, len(rows) - n_labels, epochs=self._economy.epochs)
        groups = [
            {"params": network.encoder.parameters(), "lr": _ENCODER_LR},
            {"params": network.head.parameters(), "lr": _HEAD_LR},
        ]
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(min(step, n_steps - 1), n_steps))
        # Divided by their sum in the paper; by their mean here, which is the same to Adam.
        scaled = torch.as_tensor(weights / weights.mean(), dtype=torch.float32)
        targets = torch.as_tensor(classes)
        network.train()
        for batch in _batches(len(rows), n_steps, self._rng):
            tokens, mask = _padded([self._ids[int(row)] for row in rows[batch]])
            losses = nn.functional.cross_entropy(network(tokens, mask)[0], targets[batch], reduction="none")
            optimizer.zero_grad(set_to_none=True)
            (losses * scaled[batch]).mean().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        network.eval()

    @staticmethod
    def _predict(network: _Network, ids: list[list[int]]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        order = np.argsort([len(sequence) for sequence in ids], kind="stable")
        proba = np.zeros((len(ids), network.head.out_features))
        features = np.zeros((len(ids), network.head.in_features), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(ids), _PREDICT_BATCH):
                batch = order[start : start + _PREDICT_BATCH]
                logits, vectors = network(*_padded([ids[int(row)] for row in batch]))
                proba[batch], features[batch] = logits.softmax(dim=1).numpy(), vectors.numpy()
        return proba, features


def _batches(n: int, n_steps: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    found: list[NDArray[np.intp]] = []
    while len(found) < n_steps:
        found += np.array_split(rng.permutation(n), math.ceil(n / _BATCH_SIZE))
    return found[:n_steps]


def _padded(ids: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, ids))
    tokens = torch.tensor([sequence + [0] * (longest - len(sequence)) for sequence in ids])
    mask = torch.tensor([[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in ids])
    return tokens, mask
