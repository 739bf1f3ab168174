"""What a project can do with its LLM beside labelling: look at its quality, record it, compare, propose."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llm_al import registry
from llm_al.assembly import Assembly
from llm_al.formats.llm_runs import write_llm_runs
from llm_al.llm_quality import llm_quality
from llm_al.llm_status import LLMStatus
from llm_al.loop import Loop
from llm_al.recording import recorded_rows

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

    def quality(self) -> LLMStatus:
        """Return how right each LLM annotator is and how honest its confidence, by people's random audits."""
        return LLMStatus(llm_quality(self.loop().situation))

    def record(self, path: str | Path) -> int:
        """Write every LLM answer of the project to a file that `llm.replay` reads; return the number of examples.

        Parameters
        ----------
        path : path
            Ends in ``.jsonl`` or ``.jsonl.gz``; written whole or not at all.
        """
        labels, store = self.assembly.scheme.names, self.assembly.store
        consensus = registry.make("consensus", "one_coin", labels=labels)
        return write_llm_runs(recorded_rows(store, labels, consensus), Path(path))

    def keep_record(self) -> None:
        """Write the file that the setting `llm.record` names, if it names one."""
        if self.assembly.config.llm.record is not None:
            self.record(self.assembly.folder / self.assembly.config.llm.record)
