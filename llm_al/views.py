"""Several vectors a text from one frozen encoder, and which of them people's labels prefer.

The vectors of n texts have shape (n, d), or (n, v, d) where each text has v of them, each of unit length. The first
is the one that the encoder was trained to give; similarity between texts is always measured on it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.protocols import Embedder
from llm_al.types import Embeddings, Proba

__all__ = [
    "AVERAGE",
    "FIRST",
    "FIRST_TOKEN",
    "are_fewer",
    "best_view",
    "can_choose",
    "encode_views",
    "errors_left_out",
    "n_views",
    "view_beside",
    "view_of",
    "views_for",
]

FIRST = 0
"""The view that the encoder was trained to give."""

AVERAGE = 1
"""The view that is the average of the encoder's upper layers."""

FIRST_TOKEN = 2
"""The view that is no average over the text: the state of its first token."""

_RIDGE = 0.3
_LEAST_LABELS_PER_CLASS = 5
_MAX_ROWS = 1000
_LEAST_FOR_FIRST_TOKEN = 30
_TO_BEGIN, _TO_CHANGE = 1.0, 3.0
"""Standard errors of a view's lead over the one that it would replace: at the first choice, and later."""
_FEW, _TO_STAY_WITH_FEW, _TO_STAY = 100, -1.0, -3.0
"""Labels that are few, and the standard errors of the first token's lead that let it stay with few and with more."""


def n_views(embedder: Embedder) -> int:
    """Return how many vectors of each text an embedder can give."""
    return int(getattr(embedder, "n_views", 1))


def encode_views(embedder: Embedder, texts: Sequence[str]) -> Embeddings:
    """Return all views of the texts, (n, v, d), or shape (n, d) from an embedder with a single one."""
    encode = embedder.encode if n_views(embedder) == 1 else embedder.encode_views  # type: ignore[attr-defined]
    found: Embeddings = encode(texts)
    return found


def view_of(vectors: Embeddings, view: int) -> Embeddings:
    """Return one view, shape (n, d), without a copy.

    Raises
    ------
    ShapeError
        If the vectors have no such view.
    """
    if vectors.ndim == 2 and view == FIRST:
        return vectors
    if vectors.ndim != 3 or view >= vectors.shape[1]:
        raise ShapeError(
            f"vectors of shape {vectors.shape} have no view {view}; give all views of each text, shape (n, v, d), "
            "as the embedder's encode_views makes them"
        )
    one: Embeddings = vectors[:, view]
    return one


def views_for(vectors: Embeddings, targets: Proba, view: int | None = None) -> tuple[int, ...]:
    """Return the views on which a learner should stand together, the best one first.

    Parameters
    ----------
    vectors : ndarray of shape (n, d) or (n, v, d)
        Of texts that people labelled.
    targets : ndarray of shape (n, c)
    view : int or None
        The best one, where it is known; else it is that of `best_view`.

    Notes
    -----
    Where the average of the layers is the best, the encoder's own vectors add to it. Held-out rows of agnews, label
    sets of the loop, mean of six seeds (seven with 30 labels): a head on the average, taught by propagation in that
    shape of the pool, is right on .854 with 30 labels, .895 with 70 and .903 with 130, one on the encoder's own vectors
    on .839, .899 and .908, both pooled on .851, .899 and .913. subj, mean of eight label sets of 60 to 130 labels:
    .916, .907 and .922. Where own vectors are the best, the average adds nothing for certain: banking77, two seeds,
    .843 and .846 with 385 labels; with 308, .812 and .828 in one seed, .808 and .796 in the other, which had no
    pseudo-labels. On trec6, where the first token is better by far, a pool of it and one of the averages loses .02.
    """
    best = best_view(vectors, targets) if view is None else view
    return (AVERAGE, FIRST) if best == AVERAGE else (best,)


def view_beside(vectors: Embeddings, view: int) -> Embeddings | None:
    """Return what adds to a view, shape (n, d): the encoder's own vectors to the average of its layers; else None."""
    return view_of(vectors, FIRST) if view == AVERAGE else None


def best_view(vectors: Embeddings, targets: Proba, standing: int | None = None) -> int:
    """Return the view on which a linear model predicts the labels of some texts best.

    For each view a ridge regression on the one-hot labels is fitted; its errors are those of leaving one row out, which
    has a closed form [1]_. Of the averages over a text the one with the least mean squared error is taken; the state of
    its first token must be better than that by one standard error of the paired difference, on 30 labels or more. Once
    there is a learner, its labels speak against the view that it stands on: then three standard errors are asked for,
    to take the first token as well as to leave it; up to 100 labels one is enough to leave it.

    Parameters
    ----------
    vectors : ndarray of shape (n, d) or (n, v, d)
        Of texts that people labelled; the first 1,000 are looked at.
    targets : ndarray of shape (n, c)
        Rows sum to 1.
    standing : int or None
        The view that the learner stood on when these labels were asked for; None where none had been chosen.

    Returns
    -------
    int
        The first view with fewer than 5 labels a class: a class without another example is never predicted when its
        only one is left out, and on banking77 with one label a class the wrong view wins.

    Notes
    -----
    Accuracy of logistic regression on held-out rows of the train splits, random labels, mean of three draws, by the
    last layer and by the average of the layers from a third of the depth on (all-MiniLM-L6-v2): subj .878 and .901
    with 130 labels, agnews .833 and .857, trec6 .605 and .654; banking77 .697 and .588 with 385. On labels that the
    margins of a head asked for, and on random ones, these errors took the right side in all 72 label sets of subj,
    agnews and trec6 with 30 to 130 labels, and in all 12 of banking77 with 231 or more. Between the averages a wrong
    side costs .03 at most. The first token is .83 and more on trec6, where it is better by 2.1 to 9 standard errors
    with 30 labels or more, and .7 on subj; there it was once the best by .35 of a standard error, with 90 labels that a
    head on another view had doubted, and the head fell from .917 to .714 (73 label sets; .56 in one of 75 random ones).
    Labels that a student asks for because it doubts them speak against the view that it stands on. On trec6 the lead of
    the first token, on which it stood, sank from 5.3 standard errors to 1.3 within 40 labels (a `blend`), and to .55
    and .96 in two of sixteen loops of a head, which fell from .87 to .80 and .60 where it left. On subj it rose from
    -1.9 to 1.05 and 2.3 in two of eleven loops of a head on the average, which fell from .92 to .83 and from .89 to
    .73. Hence `standing`: with 30 typical labels, which no student asked for, the lead is 1.7 to 5.0 on trec6 and -3.5
    to -1.4 on subj (twelve sets each), and in 18 further loops that the first choice went on to rule it stayed between
    .4 and 6.3, and between -4.3 and 1.75. With fewer labels the first token leads on subj by more than one standard
    error in 2 of 64 sets of 10 to 25 typical ones, by 2.1 at most (-.5 at most in 32 of 30 and 40; on trec6 1.6 and
    more in 48 of 30 to 40). A loop that took it there with 25 was right on .61 and, until it left at 150 labels, on .76
    at most, where others were on .92: its lead was -.8 at 50 labels and -1.7 at 75. On trec6, where it is right to
    stay, the lead falls below 0 with 350 labels and more, to -1.9 at least (three loops up to 525). Between own vectors
    and the average the lead changes sides in some loops of subj (within .6 of a standard error) and on the sample
    project, whose rounds on own vectors alone were right on .94 to .95 and those on both on .97; on agnews (1.3 and
    more for the average) and banking77 (more than 1 for own vectors) it never does. Both together where neither is
    clearly better: subj, held-out rows, mean of six loops and of the curve, .912 against .911.

    References
    ----------
    .. [1] Allen (1974). The relationship between variable selection and data augmentation and a method for
           prediction. Technometrics 16.
    """
    n, c = targets.shape
    if vectors.ndim == 2 or not can_choose(n, c) or len(np.unique(targets.argmax(axis=1))) < 2:
        return FIRST
    seen, told = np.asarray(vectors[:_MAX_ROWS], dtype=np.float64), targets[:_MAX_ROWS]
    errors = [errors_left_out(seen[:, view], told) for view in range(seen.shape[1])]
    least = min(errors[:FIRST_TOKEN], key=lambda each: float(each.mean()))
    has_first_token = len(errors) > FIRST_TOKEN and n >= _LEAST_FOR_FIRST_TOKEN
    if has_first_token and are_fewer(errors[FIRST_TOKEN], least, _needed(standing, n)):
        return FIRST_TOKEN
    alone = _TO_CHANGE if standing == AVERAGE else _TO_BEGIN
    return FIRST if len(errors) == 1 or are_fewer(errors[FIRST], errors[AVERAGE], alone) else AVERAGE


def can_choose(n_labels: int, n_classes: int) -> bool:
    """Say whether so many labels are enough to choose a view by; with fewer, none has been chosen yet."""
    return n_labels >= _LEAST_LABELS_PER_CLASS * n_classes


def _needed(standing: int | None, n_labels: int) -> float:
    """Return the standard errors by which the first token must be better than the best average."""
    if standing is None:
        return _TO_BEGIN
    if standing != FIRST_TOKEN:
        return _TO_CHANGE
    return _TO_STAY_WITH_FEW if n_labels <= _FEW else _TO_STAY


def are_fewer(errors: NDArray[np.float64], others: NDArray[np.float64], n_standard_errors: float) -> bool:
    """Say whether the mean of errors, (n,), lies below that of others on the same rows by so many standard errors.

    A negative number lets it lie above by less than that.
    """
    gain = others - errors
    return bool(gain.mean() > n_standard_errors * gain.std() / len(gain) ** 0.5)


def errors_left_out(features: NDArray[np.float64], targets: Proba) -> NDArray[np.float64]:
    """Return squared errors, (n,), of a ridge regression with an intercept, each row by a fit without it.

    Parameters
    ----------
    features : ndarray of shape (n, d)
        Unit rows.
    targets : ndarray of shape (n, c)
    """
    kernel = features @ features.T + 1.0
    hat = np.linalg.solve(kernel + _RIDGE * np.eye(len(kernel)), kernel)
    residuals = (targets - hat @ targets) / (1.0 - np.diag(hat))[:, None]
    errors: NDArray[np.float64] = (residuals**2).sum(axis=1)
    return errors
