"""What a project can do with its LLM beside labelling: look at its quality, record it, compare, propose."""

from collections.abc import Callable
from dataclasses import dataclass

from llm_al.assembly import Assembly
from llm_al.loop import Loop

__all__ = ["LLMTools"]


@dataclass(frozen=True)
class LLMTools:
    """Reached as `project.llm`.

    Parameters
    ----------
    assembly : Assembly
        Settings, store and folder of the project.
    loop : callable
        Returns the loop over the project, for reading.
    """

    assembly: Assembly
    loop: Callable[[], Loop]
