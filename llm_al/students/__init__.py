"""Students: recipes for classifiers, and what they become when trained."""

from llm_al.students.saved import load

__all__ = ["load"]
