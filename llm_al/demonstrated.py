"""What an LLM may be shown: people's labels, and labels of LLMs that a student shares."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from llm_al.answers import NO_LABEL, Answers
from llm_al.bank import LabelledBank
from llm_al.corpus import Corpus
from llm_al.protocols import Refine
from llm_al.types import NONE_OF_THESE, Proba

__all__ = ["agreed_labels", "labelled_bank"]


def labelled_bank(answers: Answers, corpus: Corpus, agreed: Mapping[str, str]) -> LabelledBank:
    """Return the texts that may be demonstrated, in pool order.

    Parameters
    ----------
    answers : Answers
        Every label of a person is in; what people hold outside of all labels is in where the scheme is open.
    corpus : Corpus
    agreed : mapping of str to str
        Example id -> label that no person gave. A person's label takes its place; ids and labels that the project no
        longer has are passed over.
    """
    names, place = corpus.scheme.names, corpus.position_of
    shown = {place[id_]: label for id_, label in agreed.items() if id_ in place and label in names}
    if corpus.scheme.is_open:
        shown |= dict.fromkeys(np.flatnonzero(answers.is_outside).tolist(), NONE_OF_THESE)
    shown |= {row: names[answers.human[row]] for row in np.flatnonzero(answers.human >= 0).tolist()}
    rows = np.array(sorted(shown), dtype=np.intp)
    return LabelledBank(
        ids=[corpus.ids[row] for row in rows.tolist()],
        texts=corpus.texts_at(rows),
        labels=[shown[row] for row in rows.tolist()],
        embeddings=corpus.embeddings[rows],
        groups=corpus.groups[rows],
    )


def agreed_labels(
    answers: Answers, corpus: Corpus, proba: Proba, *, refine: Refine, settled: Collection[str] = ()
) -> dict[str, str]:
    """Return labels that LLMs alone gave and that may be demonstrated, by example id.

    Texts to which people or reviewers said anything are left out, and so are near-duplicates of them: what they say
    stands, be it a label, none of these or a skip.

    Parameters
    ----------
    answers : Answers
    corpus : Corpus
    proba : ndarray of shape (n, c)
        A student's probabilities of the pool.
    refine : Refine
        Chooses among the texts on which the LLMs' answers together name a label.
    settled : collection of str
        Ids of examples whose label a reviewer settled.

    Returns
    -------
    dict of str to str
        In the order in which `refine` gave them.
    """
    labels = _llm_labels(answers, corpus)
    open_rows = np.flatnonzero((labels != NO_LABEL) & ~_known_to_people(answers, corpus, settled))
    chosen = open_rows[
        refine(corpus.embeddings[open_rows], np.asarray(proba[open_rows], dtype=np.float64), labels[open_rows])
    ]
    return {corpus.ids[row]: corpus.scheme.names[labels[row]] for row in chosen.tolist()}


def _llm_labels(answers: Answers, corpus: Corpus) -> NDArray[np.int64]:
    """Return the class index that the LLM's answers together name; -1 for none of these and where none is valid."""
    index = {name: place for place, name in enumerate(corpus.scheme.names)}
    labels = np.full(len(corpus), NO_LABEL, dtype=np.int64)
    for row, vote in answers.llm.items():
        labels[row] = index.get(vote.label or "", NO_LABEL)
    return labels


def _known_to_people(answers: Answers, corpus: Corpus, settled: Collection[str]) -> NDArray[np.bool_]:
    is_known = answers.is_asked.copy()
    is_known[[corpus.position_of[id_] for id_ in settled if id_ in corpus.position_of]] = True
    groups = corpus.groups[is_known]
    return is_known | np.isin(corpus.groups, groups[groups >= 0])
