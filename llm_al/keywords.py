"""Words that tell groups of texts apart."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

__all__ = ["group_keywords"]

_WORD = r"(?u)\b[^\W\d_][\w-]+\b"
# Rests of contractions, and what the list of common words lacks.
_COMMON = ENGLISH_STOP_WORDS | {"did", "didn", "does", "doesn", "don", "isn", "just", "ll", "re", "ve", "won"}
_MAX_WORDS = 50_000


def group_keywords(groups: Sequence[Sequence[str]], n_words: int = 5) -> list[list[str]]:
    """Return the words of each group that stand out against the other groups, by class-based TF-IDF [1]_.

    Parameters
    ----------
    groups : sequence of sequences of str
        Texts of each group.
    n_words : int
        At most so many a group; fewer where a group has fewer words.

    Returns
    -------
    list of lists of str
        The most telling word first; words of equal weight in alphabetical order.

    Notes
    -----
    Weight of word t in group g: its share of the words of g, times ``log(1 + A / f)``, where f counts t over
    all groups and A is the mean number of words of a group. Common English words are left out; in other
    languages the second factor has to do it.

    References
    ----------
    .. [1] Grootendorst (2022). BERTopic: neural topic modeling with a class-based TF-IDF procedure.
           arXiv:2203.05794.

    Examples
    --------
    >>> group_keywords([["late parcel", "lost parcel"], ["refund please", "late refund"]], 1)
    [['parcel'], ['refund']]
    """
    counter = CountVectorizer(
        lowercase=True, stop_words=sorted(_COMMON), token_pattern=_WORD, max_features=_MAX_WORDS, dtype=np.int64
    )
    try:
        counts = counter.fit_transform([" ".join(texts) for texts in groups]).toarray()
    except ValueError:
        # No word at all is left.
        return [[] for _ in groups]
    sizes = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    weights = counts / sizes * np.log1p(counts.sum() / len(groups) / counts.sum(axis=0))
    words = counter.get_feature_names_out()
    order = np.argsort(-weights, axis=1, kind="stable")[:, :n_words]
    return [[str(words[i]) for i in row if weights[g, i] > 0] for g, row in enumerate(order)]
