"""Majority vote."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.consensus._votes import mask_overruled, measure_annotators, tabulate, to_consensus
from llm_al.types import Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["Majority"]


@dataclass(frozen=True)
class Majority:
    """Each voter has one vote; the runs of one model are one voter that may split it.

    The answer of a person stands: machines vote only where nobody answered or people disagree. The posterior is the
    share of votes, without smoothing. A tie goes to the label that comes first in the list, and to `none_of_these`
    last.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order.
    """

    labels: tuple[str, ...]

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes; a student's probabilities are no votes.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        """
        votes = tabulate(annotations, self.labels, known=known)
        counts = votes.totals(votes.share * mask_overruled(votes))
        quality = measure_annotators(annotations, {}, known=known)
        # Rounding keeps shares such as 1/3 + 2/3 and 2/3 + 1/3 a tie.
        return to_consensus(votes, annotations, counts.round(9)), quality
