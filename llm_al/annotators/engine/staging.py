"""Requests on their way into a batch: on disk first, then written down, then reserved, then sent."""

import json
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from llm_al.annotators.engine.batch_log import BatchLog, OpenBatch
from llm_al.annotators.engine.batch_server import BATCH_PATH, BatchServer
from llm_al.annotators.engine.dialects import body_of
from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.failures import RateLimitError
from llm_al.annotators.engine.requests import Request
from llm_al.errors import OverloadedError, ProviderError
from llm_al.money import Ledger, Release, Reservation

__all__ = ["Staged", "release"]

_PAGE = 500
"""Entries booked in one transaction."""


class Staged:
    """The requests of one batch to be; texts wait in a temporary file, so that memory stays small.

    Attributes
    ----------
    entries : list of Reservation
        What has to be set aside for each request, in the order of the lines.
    """

    def __init__(self, engine: Engine, price_factor: float) -> None:
        self._engine = engine
        self._factor = price_factor
        self._dialect = engine.session.dialect
        self._file = tempfile.TemporaryFile("w+b", prefix="llm_al_batch_")  # noqa: SIM115 - lives as long as this
        self._n_bytes = 0
        self.entries: list[Reservation] = []

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def is_full(self, max_requests: int, max_bytes: int) -> bool:
        """Whether one more request might not fit."""
        usual = self._n_bytes // max(len(self.entries), 1)
        return len(self.entries) >= max_requests or self._n_bytes + 2 * usual > max_bytes

    def add(self, request: Request) -> None:
        """Write a request down in the server's dialect."""
        if not self.entries:
            self._dialect = self._engine.session.dialect
        model = self._engine.endpoint.model
        body = body_of(request, model, self._dialect)
        line = {"custom_id": request.hash, "method": "POST", "url": BATCH_PATH, "body": body}
        self._n_bytes += self._file.write(json.dumps(line).encode() + b"\n")
        max_cost = request.max_cost_nanousd(self._engine.price, self._factor)
        self.entries.append(request.reservation(model, self._engine.round, max_cost))

    async def submit(self, log: BatchLog, server: BatchServer, now_s: float) -> tuple[list[Reservation], str]:
        """Reserve, upload and make the batch; return the requests that the cap refused, and the refusal.

        Raises
        ------
        OverloadedError
            If the batch may have been made: it stays in the log, for `Collector` to look for.
        ProviderError
            If it was not made; its money is free again.
        """
        batch = OpenBatch(secrets.token_hex(16), now_s, self._dialect.to_text())
        log.begin(batch, self.entries)
        granted, refused, refusal = self._reserve()
        if not granted:
            log.end(batch)
            return refused, refusal
        batch = log.send(batch, granted)
        is_uploaded = False
        try:
            file_id = await self._upload(server, {entry.request_hash for entry in granted})
            is_uploaded = True
            log.name(batch, await server.create(file_id, batch.tag))
        except ProviderError as exc:
            may_be_made = is_uploaded and isinstance(exc, OverloadedError) and not isinstance(exc, RateLimitError)
            if not may_be_made:
                release(self._engine.ledger, [entry.request_hash for entry in granted], str(exc))
                log.end(batch)
            raise
        return refused, refusal

    def _reserve(self) -> tuple[list[Reservation], list[Reservation], str]:
        """Set money aside for as many requests, in their order, as the cap allows; answered ones need none."""
        ledger, cap = self._engine.ledger, self._engine.pricing.cap_nanousd
        granted: list[Reservation] = []
        for start in range(0, len(self.entries), _PAGE):
            page = self.entries[start : start + _PAGE]
            verdicts = list(zip(page, ledger.post(page, cap_nanousd=cap), strict=True))
            n_fitting = next((n for n, (_, verdict) in enumerate(verdicts) if verdict.refusal), len(page))
            granted += [entry for entry, verdict in verdicts[:n_fitting] if verdict.is_granted]
            if n_fitting < len(page):
                late = [entry.request_hash for entry, verdict in verdicts[n_fitting:] if verdict.is_granted]
                release(ledger, late, "not sent")
                return granted, self.entries[start + n_fitting :], verdicts[n_fitting][1].refusal
        return granted, [], ""

    async def _upload(self, server: BatchServer, hashes: set[str]) -> str:
        """Upload the lines whose money is reserved."""
        self._file.seek(0)
        with tempfile.TemporaryDirectory(prefix="llm_al_batch_") as folder:
            path = Path(folder) / "requests.jsonl"
            with path.open("wb") as target:
                for entry, line in zip(self.entries, self._file, strict=True):
                    if entry.request_hash in hashes:
                        target.write(line)
            return await server.upload(path)


def release(ledger: Ledger, hashes: Sequence[str], reason: str) -> None:
    """Give back the money of requests that cost nothing."""
    for start in range(0, len(hashes), _PAGE):
        ledger.post([Release(name, reason) for name in hashes[start : start + _PAGE]])
