"""A first look at texts without labels: groups, what they are about, and texts that stand for them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_al.corpus import Corpus
from llm_al.keywords import group_keywords
from llm_al.strategies.clusters import Group, find_groups

if TYPE_CHECKING:
    from llm_al.llm_tasks import LLMTasks

__all__ = ["ClusterRow", "Name", "Overview", "explore", "namer"]

_N_TYPICAL = 8
_N_OTHERS = 6
_N_KEYWORDS = 5
_KEYWORD_TEXTS = 2_000
"""Keywords settle long before they have seen more texts of a group."""

Name = Callable[[Sequence[tuple[Sequence[str], Sequence[str]]]], Sequence[tuple[str, str] | str]]
"""Takes groups as (typical texts, texts of others); returns name and description of each, or why it has none."""


def namer(tasks: "LLMTasks") -> Name:
    """Return a function that names groups by asking the LLM."""

    def name(groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[tuple[str, str] | str]:
        told = tasks.name_clusters(groups)
        return [answer.failure if (v := answer.value) is None else (v.name, v.description) for answer in told]

    return name


@dataclass(frozen=True)
class ClusterRow:
    """One group of texts.

    Parameters
    ----------
    share : float
        Of the pool.
    is_named_by_llm : bool
        Otherwise its keywords are its name.
    """

    name: str
    description: str
    n: int
    share: float
    keywords: tuple[str, ...]
    typical: tuple[str, ...]
    typical_ids: tuple[str, ...]
    is_named_by_llm: bool = False


@dataclass(frozen=True)
class Overview:
    """The groups of a pool, the largest first."""

    project: str
    n: int
    clusters: tuple[ClusterRow, ...]
    cost_nanousd: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def rows(self) -> list[dict[str, str]]:
        """Return one row of text a group."""
        return [
            {
                "cluster": row.name,
                "texts": f"{row.n:,}",
                "share": f"{row.share:.0%}",
                "for example": _shorten(row.typical[0] if row.typical else ""),
            }
            for row in self.clusters
        ]


def explore(corpus: Corpus, n_clusters: int, *, project: str = "", seed: int = 0, name: Name | None = None) -> Overview:
    """Cut a pool into groups by k-means on its embeddings and name them.

    Parameters
    ----------
    corpus : Corpus
    n_clusters : int
        At least 1; fewer groups come out where fewer texts differ.
    seed : int
    name : callable, optional
        Names groups from their texts; where it fails, and without it, keywords by class-based TF-IDF do.
    """
    groups = find_groups(corpus.embeddings, n_clusters, _N_TYPICAL, np.random.default_rng(seed))
    typical = [corpus.texts_at(group.typical) for group in groups]
    keywords = group_keywords([corpus.texts_at(group.rows[:_KEYWORD_TEXTS]) for group in groups], _N_KEYWORDS)
    named = name([(texts, _of_others(typical, g)) for g, texts in enumerate(typical)]) if name and groups else ()
    rows = [
        _row(corpus, group, texts, words, told)
        for group, texts, words, told in zip(groups, typical, keywords, named or [""] * len(groups), strict=True)
    ]
    failures = sorted({told for told in named if isinstance(told, str) and told})
    notes = tuple(f"{sum(told == why for told in named)} groups have keywords for a name: {why}" for why in failures)
    return Overview(project, len(corpus), tuple(_distinct(rows)), notes=notes)


def _of_others(typical: Sequence[Sequence[str]], mine: int) -> list[str]:
    others = [texts[0] for g, texts in enumerate(typical) if g != mine and texts]
    return others[:_N_OTHERS]


def _row(
    corpus: Corpus, group: Group, texts: Sequence[str], words: Sequence[str], told: tuple[str, str] | str
) -> ClusterRow:
    name, description = (" ".join(words[:3]) or "no words", "") if isinstance(told, str) else told
    return ClusterRow(
        name=name,
        description=description,
        n=len(group.rows),
        share=len(group.rows) / len(corpus),
        keywords=tuple(words),
        typical=tuple(texts),
        typical_ids=tuple(corpus.ids[int(row)] for row in group.typical),
        is_named_by_llm=not isinstance(told, str),
    )


def _distinct(rows: Sequence[ClusterRow]) -> list[ClusterRow]:
    """Number names that come more than once: two groups must not look like one."""
    seen: dict[str, int] = {}
    distinct = []
    for row in rows:
        count = seen[row.name.casefold()] = seen.get(row.name.casefold(), 0) + 1
        distinct.append(row if count == 1 else ClusterRow(**{**row.__dict__, "name": f"{row.name} ({count})"}))
    return distinct


def _shorten(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
