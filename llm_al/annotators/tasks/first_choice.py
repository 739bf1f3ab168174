"""First examples chosen by a model that reads them, before anybody has labelled anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.requests import Schema
from llm_al.annotators.engine.settings import Sampling
from llm_al.annotators.tasks.asking import Malformed, Question, ask_all
from llm_al.annotators.tasks.prompts import TaskPrompt, fence_all

__all__ = ["Chosen", "FirstChoice", "run"]


@dataclass(frozen=True)
class FirstChoice:
    """Asks which of some texts are worth a label most.

    Parameters
    ----------
    prompt : TaskPrompt
    block : int
        At most so many texts a call.
    max_text_characters : int
        Longer texts are cut in the middle.

    Notes
    -----
    The paper shows one list to one call and asks for an estimate of the labels as well. Here the list is cut
    into blocks, each of which gives its share, so that any number of texts fits. A block cannot know what
    another one chose: like texts should stand together, so that repetitions are seen.

    References
    ----------
    Bayer, Lutz & Reuter (2024). ActiveLLM: large language model-based active learning for textual few-shot
    scenarios. arXiv:2405.10808.
    """

    prompt: TaskPrompt
    block: int = 60
    max_text_characters: int = 400

    def blocks(self, n: int, k: int) -> list[tuple[list[int], int]]:
        """Cut n texts into blocks of neighbours; return the positions of each and how many it is asked for."""
        n_blocks = -(-n // self.block)
        ends = [n * b // n_blocks for b in range(n_blocks + 1)]
        # Cumulative rounding: shares add up to k.
        cut = [(list(range(start, stop)), k * stop // n - k * start // n) for start, stop in pairwise(ends)]
        return [(positions, share) for positions, share in cut if share]

    def question(self, texts: Sequence[str], k: int) -> Question[tuple[int, ...]]:
        """Return the question; its answer holds up to k distinct positions, the most wanted first."""
        fenced = fence_all(texts, max_characters=self.max_text_characters)
        messages = self.prompt.messages(texts=fenced, k=k)
        schema = Schema.of(
            "chosen",
            {"numbers": {"type": "array", "items": {"type": "integer", "enum": list(range(1, len(texts) + 1))}}},
        )

        def read(found: Mapping[str, Any]) -> tuple[int, ...]:
            return _positions(found["numbers"], len(texts))[:k]

        return Question(self.prompt.name, messages, schema, "numbers", 6 * k + 24, read)


def _positions(numbers: object, n: int) -> tuple[int, ...]:
    if not isinstance(numbers, list):
        raise Malformed(f'"numbers" is {type(numbers).__name__}, not a list')
    valid = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool)]
    kept = tuple(dict.fromkeys(number - 1 for number in valid if 1 <= number <= n))
    if not kept:
        raise Malformed(f"the answer names no number from 1 to {n}")
    return kept


@dataclass(frozen=True)
class Chosen:
    """Positions that the model wants, at most k, and what went wrong, one line a failed call."""

    positions: tuple[int, ...]
    failures: tuple[str, ...] = ()


def run(engine: Engine, choice: FirstChoice, texts: Sequence[str], k: int, *, sampling: Sampling) -> Chosen:
    """Return up to k positions into `texts`; fewer where an answer was short or not usable.

    Raises as `ask_all` does.
    """
    if not texts or k <= 0:
        return Chosen(())
    blocks = choice.blocks(len(texts), min(k, len(texts)))
    questions = [choice.question([texts[i] for i in positions], share) for positions, share in blocks]
    told = ask_all(engine, questions, sampling)
    ranks = [
        (rank, positions[row])
        for (positions, _), answer in zip(blocks, told, strict=True)
        for rank, row in enumerate(answer.value or ())
    ]
    # The first of each block, then the second of each.
    chosen = tuple(position for _, position in sorted(ranks, key=lambda pair: pair[0]))
    return Chosen(chosen, tuple(answer.failure for answer in told if answer.failure))
