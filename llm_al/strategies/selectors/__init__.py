"""Which of the scored rows to take."""

from llm_al.strategies.selectors.cluster_margin import ClusterMargin
from llm_al.strategies.selectors.diverse import Diverse
from llm_al.strategies.selectors.k_center import KCenter
from llm_al.strategies.selectors.top_k import TopK

__all__ = ["ClusterMargin", "Diverse", "KCenter", "TopK"]
