"""One round of self-training inside a fit: what the network holds of unlabelled texts, where its neighbours agree."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.students.calibration import scaled_proba
from llm_al.types import TrainingSet

__all__ = ["OwnLabels", "n_steps_after", "with_own_labels"]


@dataclass(frozen=True)
class OwnLabels:
    """On how many texts a network trained itself.

    Parameters
    ----------
    n_drawn, n_kept : int
        Texts without a label, and those on which the network and its neighbours agreed.
    expected : float
        Share of right labels that the network itself expects, by its probabilities at its temperature.
    """

    n_drawn: int
    n_kept: int
    expected: float

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "OwnLabels | None":
        """Return what a saved student tells of them; None where it had none."""
        names = ("n_drawn", "n_kept", "expected")
        return cls(**{name: told[name] for name in names}) if all(name in told for name in names) else None

    @property
    def reason(self) -> str:
        """One sentence for the report."""
        return (
            f"trained itself on {self.n_kept:,} of {self.n_drawn:,} texts without a label, "
            f"{self.expected:.0%} of them right by its own estimate"
        )


def with_own_labels(
    training: TrainingSet,
    features: NDArray[np.float64],
    logits: NDArray[np.float64],
    *,
    temperature: float,
    seed: int,
) -> tuple[TrainingSet, OwnLabels]:
    """Return the training set with those of `unlabelled` that its `choose_own` lets in.

    Targets are the network's probabilities instead of its label alone: on held-out rows of trec6 soft ones were as good
    or better.

    Parameters
    ----------
    training : TrainingSet
        With m unlabelled texts.
    features : ndarray of shape (m, d)
        Unit rows.
    logits : ndarray of shape (m, c)
        Before the temperature.
    temperature : float
        By which the estimate divides the logits; targets are as the network says.
    seed : int
    """
    texts, proba = training.unlabelled, scaled_proba(logits, 1.0)
    assert training.choose_own is not None
    rows, weights = training.choose_own(features.astype(np.float32), proba, np.random.default_rng([seed, 2]))
    likeliest = scaled_proba(logits[rows], temperature).max(axis=1, initial=0.0)
    own = OwnLabels(len(texts), len(rows), float(likeliest.mean()) if len(rows) else 0.0)
    joined = replace(
        training,
        texts=[*training.texts, *(texts[int(row)] for row in rows)],
        targets=np.concatenate([training.targets, proba[rows]]),
        weights=np.concatenate([training.weights, weights]),
        embeddings=None,
        is_human=None,
        unlabelled=(),
        choose_own=None,
    )
    return joined, own


def n_steps_after(n_left: int, n_rows: int, batch_size: int) -> int:
    """Return how long to go on: for the steps that are left, but one pass at least."""
    return max(n_left, -(-n_rows // batch_size))
