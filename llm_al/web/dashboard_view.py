"""What of the dashboard a person may see."""

from collections.abc import Mapping
from typing import Any

from llm_al.web.sessions import Visitor

__all__ = ["view_for"]


def view_for(visitor: Visitor, whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dashboard; placeholder until its parts are known."""
    return dict(whole) if visitor.may("reviewer") else {}
