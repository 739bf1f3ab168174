"""How useful a label of each row would be; higher means ask sooner."""

from llm_al.strategies.scorers.entropy import Entropy
from llm_al.strategies.scorers.least_confidence import LeastConfidence
from llm_al.strategies.scorers.margin import Margin
from llm_al.strategies.scorers.random import Random

__all__ = ["Entropy", "LeastConfidence", "Margin", "Random"]
