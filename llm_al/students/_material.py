"""The training set on its way to the device: what is shown, with which target and weight."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_al.students._batches import TokenIds, pad
from llm_al.types import Proba, TrainingSet

__all__ = ["Material", "Part", "bounded", "class_balanced", "excess", "mixed", "rows_of", "smoothed"]


@dataclass(frozen=True)
class Material:
    """What a network is trained on.

    Parameters
    ----------
    ids : list of list of int, length n
        Token ids, n >= 1.
    targets : ndarray of shape (n, c)
        Rows sum to 1.
    weights : ndarray of shape (n,)
        Positive.
    pad_id : int
    is_human : ndarray of shape (n,), bool, or None
        Rows that people labelled; None means all.
    mixup : float
        Alpha of the Beta distribution by which pairs of rows are mixed; 0 mixes nothing.
    """

    ids: TokenIds
    targets: Proba
    weights: NDArray[np.float64]
    pad_id: int = 0
    is_human: NDArray[np.bool_] | None = None
    mixup: float = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Tokens in each row, shape (n,)."""
        return np.array([len(sequence) for sequence in self.ids], dtype=np.intp)

    def prepared(self, *, label_smoothing: float, class_weight: float) -> "Material":
        """Return the set with smoothed targets and balanced weights of mean 1.

        The unit of the weights would otherwise act as a learning rate.
        """
        weights = class_balanced(self.targets, self.weights, class_weight)
        return replace(self, targets=smoothed(self.targets, label_smoothing), weights=weights / weights.mean())

    def take(self, rows: NDArray[np.intp], device: torch.device) -> "Part":
        """Return some rows as tensors on a device; the mask is None when nothing is padded."""
        tokens, mask = map(torch.from_numpy, pad([self.ids[i] for i in rows], self.pad_id))
        targets = torch.as_tensor(self.targets[rows], dtype=torch.float32)
        weights = torch.as_tensor(self.weights[rows], dtype=torch.float32)
        sent = [part.to(device, non_blocking=True) for part in (tokens, targets, weights)]
        return Part(sent[0], None if bool(mask.all()) else mask.to(device), sent[1], sent[2])


@dataclass(frozen=True)
class Part:
    """Rows of a batch: tokens (b, l), mask (b, l) or None, targets (b, c), weights (b,)."""

    tokens: Tensor
    mask: Tensor | None
    targets: Tensor
    weights: Tensor


def smoothed(targets: Proba, amount: float) -> Proba:
    """Return targets of which a share `amount`, in [0, 1), is spread evenly over the classes [1]_.

    References
    ----------
    .. [1] Szegedy, Vanhoucke, Ioffe, Shlens & Wojna (2016). Rethinking the Inception architecture for computer
           vision. CVPR 2016.
    """
    return targets if amount == 0 else (1.0 - amount) * targets + amount / targets.shape[1]


def class_balanced(targets: Proba, weights: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Return weights times the inverse frequency of their classes, tempered.

    Parameters
    ----------
    targets : ndarray of shape (n, c)
    weights : ndarray of shape (n,)
    power : float
        In [0, 1]: 0 leaves weights alone, 1 gives every class that has examples the same total weight.

    Examples
    --------
    >>> class_balanced(np.eye(2)[[0, 0, 0, 1]], np.ones(4), 1.0).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    if power == 0:
        return weights
    mass = (weights[:, None] * targets).sum(axis=0)
    share = mass[mass > 0].mean() / np.where(mass > 0, mass, np.inf)
    balanced: NDArray[np.float64] = weights * (targets * share**power).sum(axis=1)
    return balanced


def excess(targets: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each row and the part above the targets' own entropy, both of shape (b,)."""
    losses = -(targets * torch.log_softmax(logits.float(), dim=-1)).sum(-1)
    return losses, (losses + torch.xlogy(targets, targets).sum(-1)).detach()


def mixed(features: Tensor, part: Part, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, targets and weights of which each row is mixed with another one of the batch [1]_.

    The larger share stays with the row itself. Pooled features are mixed instead of inputs, as texts cannot be,
    and drawn to unit length again.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin & Lopez-Paz (2018). mixup: beyond empirical risk minimization. ICLR 2018.
    """
    n = len(features)
    drawn = rng.beta(alpha, alpha, size=n)
    share = torch.as_tensor(np.maximum(drawn, 1.0 - drawn), dtype=torch.float32, device=features.device)
    other = torch.as_tensor(rng.permutation(n), device=features.device)
    column = share.unsqueeze(-1)
    blend = torch.nn.functional.normalize(column * features + (1 - column) * features[other], dim=-1)
    targets = column * part.targets + (1 - column) * part.targets[other]
    return blend, targets, share * part.weights + (1 - share) * part.weights[other]


def bounded(training: TrainingSet, max_others: int, rng: np.random.Generator) -> TrainingSet:
    """Return all rows of people and at most `max_others` others, drawn at random: the surest ones teach least."""
    if training.is_human is None:
        return training
    others = np.flatnonzero(~training.is_human)
    if len(others) <= max_others:
        return training
    drawn = rng.choice(others, max_others, replace=False)
    kept = np.sort(np.concatenate([np.flatnonzero(training.is_human), drawn]))
    return rows_of(training, kept, keeps_unlabelled=True)


def rows_of(training: TrainingSet, rows: NDArray[np.intp], *, keeps_unlabelled: bool = False) -> TrainingSet:
    """Return some rows of a training set, with all that belongs to them.

    Folds of a cross-validation do without `unlabelled`: self-training would double what they cost.
    """
    return replace(
        training,
        texts=[training.texts[i] for i in rows],
        targets=training.targets[rows],
        weights=training.weights[rows],
        embeddings=None if training.embeddings is None else training.embeddings[rows],
        is_human=None if training.is_human is None else training.is_human[rows],
        is_pseudo=None if training.is_pseudo is None else training.is_pseudo[rows],
        unlabelled=training.unlabelled if keeps_unlabelled else (),
        unlabelled_embeddings=training.unlabelled_embeddings if keeps_unlabelled else None,
    )
