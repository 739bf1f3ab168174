"""Labels of people that are likely wrong, by students that have not learned from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llm_al.answers import read_answers
from llm_al.corpus import Corpus
from llm_al.evaluation.cross_fit import CrossFit
from llm_al.evaluation.label_errors import find_label_errors
from llm_al.protocols import Aggregator
from llm_al.types import Annotation, Known

__all__ = ["LabelSuspect", "label_suspects"]


@dataclass(frozen=True, slots=True)
class LabelSuspect:
    """A label of people that is likely wrong.

    Parameters
    ----------
    label, likelier : str
        What people say, and what the students say.
    likelihood : float
        Of `likelier`, by a student that has not learned from the text.
    doubt : float
        One minus the normalised margin of the label, in [0, 1]; see `evaluation.label_errors.Suspect`.
    """

    example_id: str
    label: str
    likelier: str
    likelihood: float
    doubt: float


def label_suspects(
    annotations: Sequence[Annotation], corpus: Corpus, consensus: Aggregator, *, gold: Mapping[str, str] | None = None
) -> list[LabelSuspect]:
    """Return labels of people that are likely wrong by confident learning, most suspicious first.

    Every label that people gave is judged by a logistic regression on the embeddings that was fitted without it.
    Texts that fit no label are left out. Labels in `gold` (by example id) stand in place of what people said.
    """
    human = read_answers(annotations, corpus, consensus, known=Known(gold or {})).human
    rows = np.flatnonzero(human >= 0)
    if not len(rows):
        return []
    names, given = corpus.scheme.names, human[rows].astype(np.intp)
    ids = [corpus.ids[int(row)] for row in rows]
    proba = CrossFit().out_of_fold(ids, corpus.embeddings[rows], np.eye(len(names))[given])
    return [
        LabelSuspect(ids[s.row], names[s.given], names[s.likelier], float(proba[s.row, s.likelier]), 1.0 - s.margin)
        for s in find_label_errors(proba, given)
    ]
