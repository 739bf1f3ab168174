"""What an annotator knows about its server, over all its runs."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from llm_al.annotators.engine.dialects import Dialect
from llm_al.annotators.engine.pacing import Rates
from llm_al.annotators.engine.settings import Endpoint
from llm_al.money import Ledger

__all__ = ["Session"]


@dataclass
class Session:
    """Learnt from answers; the dialect is also kept in the ledger, for the next process.

    Attributes
    ----------
    dialect : Dialect
    is_known : bool
        Whether the server has answered in this dialect. Until then calls go one at a time: the first
        question is the probe, and costs nothing extra.
    n_unclear : int
        Answers so far that say nothing about the dialect.
    kept : Dialect or None
        What the ledger has.
    rates : Rates or None
        None before the first run.
    stop_reason : str
        Why the last run left something out.
    n_waiting : int
        Answers that the last run waits for, because a batch makes them.
    leave : callable or None
        Asks the last run that was begun to end early.
    latency_s : float or None
        Moving average of answers, for estimates.
    """

    dialect: Dialect = field(default_factory=Dialect)
    is_known: bool = False
    n_unclear: int = 0
    kept: Dialect | None = None
    rates: Rates | None = None
    stop_reason: str = ""
    n_waiting: int = 0
    latency_s: float | None = None
    leave: Callable[[], None] | None = field(default=None, repr=False)

    def stop(self) -> None:
        """Ask the run to end early, from any thread: what is under way is finished and kept."""
        if self.leave is not None:
            self.leave()

    def began(self, leave: Callable[[], None]) -> None:
        """Keep how the run that begins can be asked to end."""
        self.leave = leave

    def recall(self, endpoint: Endpoint, ledger: Ledger) -> None:
        """Take the dialect that an earlier process learnt."""
        if self.kept is None and (dialect := Dialect.from_text(ledger.recall(_key(endpoint)))):
            self.dialect, self.is_known, self.kept = dialect, True, dialect

    def keep(self, endpoint: Endpoint, ledger: Ledger) -> None:
        """Write the dialect down for the next process, once it is known."""
        if self.is_known and self.kept != self.dialect:
            self.kept = self.dialect
            ledger.remember(_key(endpoint), self.dialect.to_text())

    def note_latency(self, seconds: float) -> None:
        """Take a duration into the moving average."""
        self.latency_s = seconds if self.latency_s is None else 0.95 * self.latency_s + 0.05 * seconds


def _key(endpoint: Endpoint) -> str:
    server = hashlib.sha256(f"{endpoint.base_url}\n{endpoint.model}".encode()).hexdigest()
    return f"dialect:{server[:32]}"
