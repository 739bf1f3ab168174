"""What tasks are made of: plain values, so that whoever gathers them needs no client."""

from dataclasses import dataclass

from llm_al.types import Demonstration

__all__ = ["Disagreement", "LabelledTexts"]


@dataclass(frozen=True)
class LabelledTexts:
    """What is known of one label.

    Parameters
    ----------
    label : str
    texts : tuple of str
        People gave them the label.
    others : tuple of Demonstration
        Texts of labels that are easily taken for it.
    """

    label: str
    texts: tuple[str, ...]
    others: tuple[Demonstration, ...] = ()


@dataclass(frozen=True)
class Disagreement:
    """A text about which annotators differ.

    Parameters
    ----------
    said : tuple of (str, str)
        Who, in words that a model may read ("people", "the LLM"), and the label that was given.
    """

    example_id: str
    text: str
    said: tuple[tuple[str, str], ...]
