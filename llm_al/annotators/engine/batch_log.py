"""What is known about batches under way, kept in the ledger so that another process can go on tomorrow."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from llm_al.annotators.engine.settings import Endpoint
from llm_al.money import Ledger, Reservation

__all__ = ["BatchLog", "OpenBatch"]


@dataclass(frozen=True)
class OpenBatch:
    """A batch that is being made.

    Parameters
    ----------
    tag : str
        Ours, and known before the server has heard of the batch.
    at_s : float
        When it was begun, in seconds since the epoch.
    dialect : str
        The form in which its requests were written.
    is_sent : bool
        Its money is reserved and the upload has begun; from then on the server may have it.
    id : str or None
        The server's; None until it has answered.
    """

    tag: str
    at_s: float
    dialect: str
    is_sent: bool = False
    id: str | None = None


@dataclass
class BatchLog:
    """Batches under way at one server and model, and requests that have failed in batches before.

    Attributes
    ----------
    open : list of OpenBatch
    tries : dict of str to (int, str)
        Request hash -> how often it failed, and why the last time.
    """

    ledger: Ledger
    key: str
    open: list[OpenBatch] = field(default_factory=list)
    tries: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, endpoint: Endpoint, ledger: Ledger) -> "BatchLog":
        """Return what earlier processes wrote down."""
        server = hashlib.sha256(f"{endpoint.base_url}\n{endpoint.model}".encode()).hexdigest()[:32]
        key = f"batches:{server}"
        kept = json.loads(ledger.recall(key) or "{}")
        tries = {name: (int(n), str(reason)) for name, (n, reason) in kept.get("tries", {}).items()}
        return cls(ledger, key, [OpenBatch(**batch) for batch in kept.get("open", [])], tries)

    def max_costs(self, batch: OpenBatch) -> dict[str, int]:
        """Return what was set aside for each request of a batch, by hash."""
        lines = (self.ledger.recall(f"batch:{batch.tag}") or "").splitlines()
        return {name: int(cost) for name, _, cost in (line.partition(" ") for line in lines)}

    def begin(self, batch: OpenBatch, entries: Sequence[Reservation]) -> None:
        """Write a batch down before anything is reserved or sent."""
        self._write_requests(batch, entries)
        self.open.append(batch)
        self._write()

    def send(self, batch: OpenBatch, entries: Sequence[Reservation]) -> OpenBatch:
        """Write down that the server may hear of it from now on, with these requests."""
        self._write_requests(batch, entries)
        return self._change(batch, replace(batch, is_sent=True))

    def name(self, batch: OpenBatch, batch_id: str) -> OpenBatch:
        """Write the server's id down."""
        return self._change(batch, replace(batch, id=batch_id))

    def end(self, batch: OpenBatch) -> None:
        """Forget a batch, and keep the tries of its requests, in one write."""
        self.open.remove(batch)
        self._write()
        self.ledger.remember(f"batch:{batch.tag}", "")

    def _write_requests(self, batch: OpenBatch, entries: Sequence[Reservation]) -> None:
        lines = [f"{entry.request_hash} {entry.max_cost_nanousd}" for entry in entries]
        self.ledger.remember(f"batch:{batch.tag}", "\n".join(lines))

    def _change(self, old: OpenBatch, new: OpenBatch) -> OpenBatch:
        self.open[self.open.index(old)] = new
        self._write()
        return new

    def _write(self) -> None:
        kept = {"open": [asdict(batch) for batch in self.open], "tries": self.tries}
        self.ledger.remember(self.key, json.dumps(kept))
