"""What a project's LLM does beside labelling, on the engine, ledger and cap of its chat annotator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llm_al.annotators.chat import Chat
from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.tasks import critique, describe, first_choice, name_cluster, synthesis
from llm_al.annotators.tasks.asking import Told
from llm_al.annotators.tasks.critique import Gap
from llm_al.annotators.tasks.material import Disagreement, LabelledTexts
from llm_al.annotators.tasks.name_cluster import ClusterName
from llm_al.annotators.tasks.prompts import TaskPrompt, load_task_prompt
from llm_al.config import ProjectConfig
from llm_al.errors import BudgetError, ConfigError, ProviderError
from llm_al.llm_assembly import make_chat
from llm_al.store.store import SqlStore
from llm_al.types import LabelScheme

__all__ = ["LLMTasks", "chat_of"]


def chat_of(config: ProjectConfig, scheme: LabelScheme, store: SqlStore, folder: Path) -> Chat:
    """Return the chat annotator of a project, the first of a panel or cascade.

    Raises
    ------
    ConfigError
        If the project's LLM is no chat annotator.
    """
    if config.llm.annotator != "chat":
        raise ConfigError(
            f"llm.annotator is {config.llm.annotator!r}; descriptions, guideline gaps, strategy.cold_start 'llm', "
            "llm.synthesize and names of clusters need a model that writes; set llm.annotator: chat"
        )
    return make_chat(config, scheme, store, folder)


@dataclass(frozen=True)
class LLMTasks:
    """Parameters: the chat annotator, and what is told when a task of a run goes without its LLM.

    `choose` and `write` are parts of a run that can do without: when the server fails or the cap is reached,
    they give less or nothing, and say so. The others are asked for by a person and raise.
    """

    chat: Chat
    warn: Callable[[str], None] = lambda _message: None

    def at_round(self, number: int) -> "LLMTasks":
        """Return the tasks whose money is booked on a round."""
        return replace(self, chat=replace(self.chat, round=number))

    def describe(self, known: Sequence[LabelledTexts]) -> list[Told[str]]:
        """Return a description of each label, or why there is none."""
        asked = describe.Describe(self._prompt("describe.v1"))
        return describe.run(self._engine, asked, known, sampling=self.chat.sampling)

    def critique(self, cases: Sequence[Disagreement]) -> Told[tuple[Gap, ...]]:
        """Return the gaps in the guidelines that disagreements show, or why there is no answer."""
        asked = critique.Critique(self._prompt("critique.v1"))
        return critique.run(self._engine, asked, cases, sampling=self.chat.sampling)

    def name_clusters(self, groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[Told[ClusterName]]:
        """Return a name of each group of texts, given as (its texts, texts of others)."""
        asked = name_cluster.NameCluster(self._prompt("name_cluster.v1"))
        return name_cluster.run(self._engine, asked, groups, sampling=self.chat.sampling)

    def choose(self, texts: Sequence[str], k: int) -> Sequence[int]:
        """Return positions of up to k texts that are worth a label most; none when the LLM cannot be asked."""
        asked = first_choice.FirstChoice(self._prompt("first_choice.v1"))
        try:
            # The first round; the loop counts from 1.
            engine = replace(self._engine, round=max(self.chat.round, 1))
            chosen = first_choice.run(engine, asked, texts, k, sampling=self.chat.sampling)
        except (ProviderError, BudgetError) as exc:
            self.warn(f"first examples: the LLM could not choose, typical ones are asked instead: {exc}")
            return ()
        for failure in sorted(set(chosen.failures)):
            self.warn(f"first examples: an answer could not be used, typical ones fill up: {failure}")
        return chosen.positions

    def write(self, wanted: Mapping[str, int], style: Sequence[str], number: int) -> dict[str, tuple[str, ...]]:
        """Return texts for each label; a label is absent when the LLM wrote none."""
        asked = synthesis.Synthesise(self._prompt("synthesise.v1"))
        engine = replace(self._engine, round=number)
        try:
            told = synthesis.run(engine, asked, wanted, style=style, sampling=self.chat.sampling)
        except (ProviderError, BudgetError) as exc:
            self.warn(f"synthetic texts: the LLM wrote none: {exc}")
            return {}
        for label, answer in told.items():
            if answer.failure:
                self.warn(f"synthetic texts: none for label {label!r}: {answer.failure}")
        return {label: answer.value for label, answer in told.items() if answer.value}

    @property
    def _engine(self) -> Engine:
        return self.chat.engine

    def _prompt(self, name: str) -> TaskPrompt:
        return load_task_prompt(name, self.chat.scheme, folder=self.chat.prompt_folder)
