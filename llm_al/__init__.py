"""LLM-augmented active labeling for text.

From raw texts and a list of labels to a labelled dataset with a measured error rate and a small classifier.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_al.errors import LLMALError
    from llm_al.learner import ActiveLearner, Query
    from llm_al.plan import RoundOutcome
    from llm_al.pool import PoolView
    from llm_al.project import Columns, Project
    from llm_al.students.saved import load as load_student
    from llm_al.types import Annotation, AnnotatorKind, Example, Label

__version__ = "0.1.0"

__all__ = [
    "ActiveLearner",
    "Annotation",
    "AnnotatorKind",
    "Columns",
    "Example",
    "LLMALError",
    "Label",
    "PoolView",
    "Project",
    "Query",
    "RoundOutcome",
    "load_student",
]

# Names are imported when they are first asked for, so that `llm-al --help` does not wait for torch.
_HOMES = {
    "ActiveLearner": "llm_al.learner",
    "Annotation": "llm_al.types",
    "AnnotatorKind": "llm_al.types",
    "Columns": "llm_al.project",
    "Example": "llm_al.types",
    "LLMALError": "llm_al.errors",
    "Label": "llm_al.types",
    "PoolView": "llm_al.pool",
    "Project": "llm_al.project",
    "Query": "llm_al.learner",
    "RoundOutcome": "llm_al.plan",
    "load_student": "llm_al.students.saved:load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llm_al' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
