"""Which of several students is better, by the same labels held out from each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Proba

__all__ = ["Verdict", "compare", "untested"]


@dataclass(frozen=True)
class Verdict:
    """Which student was chosen, by what figures, and why.

    Parameters
    ----------
    chosen : str
    reason : str
        One sentence for the log and the report.
    accuracy : mapping of str to float
        Share of held-out human labels that each candidate got right; empty where none was tested.
    gain, gain_se : float
        Of the chosen over the cheapest: difference in accuracy, drawn a little to 0, and its standard error.
    n_folds : int
        0 where nothing was tested.
    n_labels : int
        Human labels at the time of the test; 0 where nothing was tested.
    temperature : float or None
        Of the chosen, from the predictions of the test; None where it measures its own.
    """

    chosen: str
    reason: str
    accuracy: Mapping[str, float]
    gain: float = 0.0
    gain_se: float = 0.0
    n_folds: int = 0
    n_labels: int = 0
    temperature: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, which `Verdict(**values)` takes back."""
        return asdict(self) | {"accuracy": dict(self.accuracy)}


def untested(chosen: str, reason: str) -> Verdict:
    """Return the verdict where no test was made."""
    return Verdict(chosen, f"{chosen}: {reason}", {})


def compare(
    proba: Mapping[str, Proba], targets: Proba, *, order: Sequence[str], min_gain_se: float, n_folds: int
) -> Verdict:
    """Return the best candidate by paired accuracy; a dearer one has to earn its price.

    Parameters
    ----------
    proba : mapping of str to ndarray of shape (n, c)
        Predictions of each candidate for rows that it has not seen.
    targets : ndarray of shape (n, c)
    order : sequence of str
        Candidates from cheap to dear. Each takes the place of the best so far if its mean gain is above 0 and at
        least `min_gain_se` standard errors of the paired differences [1]_. Gain and error are counted as if half a
        label more stood in each cell of the table of right and wrong [2]_: without it, three labels of thirty would
        be a sure thing.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen & Stone (1984). Classification and regression trees. The rule of one standard
           error, there for trees of several sizes.
    .. [2] Agresti & Min (2005). Simple improved confidence intervals for comparing matched proportions. Statistics
           in Medicine 24(5), 729-740.
    """
    truth = targets.argmax(axis=1)
    hits = {name: (proba[name].argmax(axis=1) == truth).astype(np.float64) for name in order if name in proba}
    names = list(hits)
    chosen = names[0]
    for name in names[1:]:
        gain, error = _gain(hits[name], hits[chosen])
        if gain > 0 and gain >= min_gain_se * error:
            chosen = name
    accuracy = {name: float(hit.mean()) for name, hit in hits.items()}
    figures = ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items())
    gain, error = _gain(hits[chosen], hits[names[0]])
    against = f", {gain:+.3f} (standard error {error:.3f}) against {names[0]}" if chosen != names[0] else ""
    reason = f"{chosen}: accuracy on {len(truth)} held-out labels of people is {figures}{against}"
    return Verdict(chosen, reason, accuracy, gain, error, n_folds, len(truth))


def _gain(hits: NDArray[np.float64], than: NDArray[np.float64]) -> tuple[float, float]:
    """Return the difference of two accuracies on the same labels, and its standard error [2]_ of `compare`."""
    n = len(hits) + 2
    gained, lost = ((hits > than).sum() + 0.5, (hits < than).sum() + 0.5)
    gain = (gained - lost) / n
    return float(gain), float(np.sqrt((gained + lost) / n - gain**2) / np.sqrt(n))
