"""One run over many texts: cached answers for nothing, new ones paid, kept, then used."""

import asyncio
import time
from dataclasses import dataclass, replace

from llm_al.annotators.chat.client import Client, Session
from llm_al.annotators.chat.ledger import Ledger
from llm_al.annotators.chat.limits import OutcomeUnknownError, TextRefusedError
from llm_al.annotators.chat.prices import Price
from llm_al.annotators.chat.prompts import Prompt
from llm_al.annotators.chat.replies import Completion, parse_completion
from llm_al.annotators.chat.requests import Request, ask, ask_again
from llm_al.annotators.chat.settings import Endpoint, Sampling
from llm_al.errors import BudgetError, OverloadedError, ProviderError
from llm_al.types import Annotation, AnnotatorKind, Example, LabelScheme

__all__ = ["Job", "Run", "Terms", "cap_too_low"]

_GIVE_UP_AFTER = 3
"""Requests in a row without an answer, each tried to the end, before the server counts as down."""
_REPORTED_INVALID_MASS = 0.1


@dataclass(frozen=True)
class Terms:
    """What a run asks for, and at what price."""

    scheme: LabelScheme
    endpoint: Endpoint
    sampling: Sampling
    price: Price
    cap_nanousd: int | None
    round: int


@dataclass(frozen=True)
class Job:
    """One example under one prompt; `index` gives the order of results."""

    index: int
    example: Example
    prompt: Prompt


@dataclass(frozen=True)
class _Answer:
    """A completion with its request, price and time."""

    request: Request
    completion: Completion
    cost_nanousd: int
    duration_s: float | None

    @property
    def n_tokens(self) -> tuple[int, int]:
        usage = self.completion.usage
        return usage.n_tokens_in or 0, usage.n_tokens_out or 0


def cap_too_low(cap_nanousd: int, max_cost_nanousd: int, model: str) -> BudgetError:
    """Return the error that says that not even one call fits under the cap."""
    return BudgetError(
        f"the LLM cap of ${cap_nanousd / 1e9:.9f} is below the price of one call to {model!r}, "
        f"at most ${max_cost_nanousd / 1e9:.9f}; nothing was sent; raise budget.llm_usd"
    )


class _CapReachedError(Exception):
    """The next call could pass the cap."""


class Run:
    """State of one call of `annotate`: open reservations, requests under way, failures in a row."""

    def __init__(self, terms: Terms, *, ledger: Ledger, client: Client, session: Session) -> None:
        self._terms = terms
        self._ledger = ledger
        self._client = client
        self._session = session
        self._under_way: dict[str, asyncio.Event] = {}
        self._settled = asyncio.Condition()
        self._n_open = 0
        self._n_paid = 0
        self._n_given_up = 0
        self._has_answer = False
        self._last_failure: OverloadedError | None = None

    async def annotate(self, job: Job) -> tuple[int, Annotation] | None:
        """Return the annotation of one job; None when the cap does not allow it.

        Raises
        ------
        BudgetError
            If the cap is below the price of this very call.
        ProviderError
            If the server cannot or will not answer.
        """
        request = ask(self._terms.endpoint, self._terms.sampling, job.prompt, job.example.text)
        try:
            answer = await self._answer(request)
        except _CapReachedError:
            return None
        except (TextRefusedError, OverloadedError) as exc:
            return job.index, self._abstention(job, request, exc)
        self._has_answer, self._n_given_up = True, 0
        answers = [answer]
        if answer.completion.reply.failure:
            answers += await self._second_answer(answer)
        return job.index, self._annotation(job, answers)

    def give_up_if_all_failed(self) -> None:
        """Raise `OverloadedError` if no request of the run got an answer."""
        if self._last_failure is not None and not self._has_answer:
            raise self._last_failure

    def _abstention(self, job: Job, request: Request, error: ProviderError) -> Annotation:
        """Leave one text to people, unless it is the server that fails."""
        if isinstance(error, OverloadedError):
            self._last_failure = error
            self._n_given_up += 1
            if self._n_given_up >= _GIVE_UP_AFTER:
                raise error
        return replace(self._blank(job), request_hash=request.hash, reason=f"no answer: {error}")

    async def _second_answer(self, first: _Answer) -> list[_Answer]:
        completion = first.completion
        again = ask_again(
            self._terms.endpoint,
            self._terms.sampling,
            first.request,
            content=completion.content,
            failure=completion.reply.failure,
        )
        try:
            return [await self._answer(again)]
        except (_CapReachedError, TextRefusedError, OverloadedError):
            return []

    async def _answer(self, request: Request) -> _Answer:
        # Two texts that render alike are paid once.
        while (other := self._under_way.get(request.hash)) is not None:
            await other.wait()
        cached = self._ledger.cached(request.hash)
        if cached is not None:
            return self._read(request, cached, duration_s=None)
        done = self._under_way[request.hash] = asyncio.Event()
        try:
            return await self._pay(request)
        finally:
            del self._under_way[request.hash]
            done.set()

    async def _pay(self, request: Request) -> _Answer:
        await self._reserve(request)
        self._n_open += 1
        started = time.monotonic()
        try:
            body = await self._client.complete(request.messages, list(request.prompt.names_by_code), self._session)
            answer = self._read(request, body, duration_s=time.monotonic() - started)
            n_in, n_out = answer.n_tokens
            self._ledger.settle(
                request.hash, response=body, n_tokens_in=n_in, n_tokens_out=n_out, cost_nanousd=answer.cost_nanousd
            )
        except OutcomeUnknownError:
            # It may have been charged: the reservation stays until the same request is settled.
            raise
        except ProviderError as exc:
            self._ledger.release(request.hash, reason=str(exc))
            raise
        finally:
            self._n_open -= 1
            async with self._settled:
                self._settled.notify_all()
        return answer

    async def _reserve(self, request: Request) -> None:
        """Set the maximum price aside; wait while calls under way may still give some back."""
        terms = self._terms
        max_cost = request.max_cost_nanousd(terms.price, terms.sampling)
        if self._session.stop_reason:
            raise _CapReachedError
        while True:
            try:
                self._ledger.reserve(
                    request.hash,
                    model=terms.endpoint.model,
                    prompt=request.prompt.name,
                    round=terms.round,
                    max_cost_nanousd=max_cost,
                    cap_nanousd=terms.cap_nanousd,
                )
            except BudgetError as exc:
                if self._n_open == 0:
                    self._refuse(max_cost, exc)
            else:
                self._n_paid += 1
                return
            await self._wait_for_settlement(self._n_open)

    async def _wait_for_settlement(self, n_open: int) -> None:
        """Return once fewer calls are open than `n_open`, also if that has happened already."""
        async with self._settled:
            await self._settled.wait_for(lambda: self._n_open < n_open)

    def _refuse(self, max_cost: int, error: BudgetError) -> None:
        cap = self._terms.cap_nanousd or 0
        if max_cost > cap and self._n_paid == 0:
            raise cap_too_low(cap, max_cost, self._terms.endpoint.model) from error
        self._session.stop_reason = f"the LLM cap of ${cap / 1e9:.4f} is reached: {error}"
        raise _CapReachedError

    def _read(self, request: Request, body: str, *, duration_s: float | None) -> _Answer:
        terms = self._terms
        completion = parse_completion(body, request.prompt.names_by_code)
        usage = completion.usage
        if usage.n_tokens_in is None or usage.n_tokens_out is None:
            # A server that does not count is charged at the most it could have used.
            cost = request.max_cost_nanousd(terms.price, terms.sampling)
        else:
            cost = terms.price.cost_nanousd(usage.n_tokens_in, usage.n_tokens_out)
        return _Answer(request, completion, cost, duration_s)

    def _blank(self, job: Job) -> Annotation:
        model = self._terms.endpoint.model
        return Annotation(
            job.example.id,
            None,
            f"llm:{model}/{job.prompt.name}",
            kind=AnnotatorKind.LLM,
            model=model,
            prompt=job.prompt.name,
            round=self._terms.round,
        )

    def _annotation(self, job: Job, answers: list[_Answer]) -> Annotation:
        last = answers[-1].completion
        durations = [answer.duration_s for answer in answers if answer.duration_s is not None]
        names = self._terms.scheme.names
        return replace(
            self._blank(job),
            label=last.reply.label,
            confidence=last.confidence,
            proba=tuple(last.proba[name] for name in names) if last.proba and last.reply.label in names else None,
            request_hash=answers[-1].request.hash,
            n_tokens_in=sum(answer.n_tokens[0] for answer in answers),
            n_tokens_out=sum(answer.n_tokens[1] for answer in answers),
            cost_nanousd=sum(answer.cost_nanousd for answer in answers),
            duration_s=sum(durations) if durations else None,
            reason=self._remark(job, last),
        )

    def _remark(self, job: Job, completion: Completion) -> str:
        remarks = [completion.reply.failure] if completion.reply.failure else []
        if len(job.example.text) > self._terms.sampling.max_text_characters:
            remarks.append(f"the text was cut to {self._terms.sampling.max_text_characters} characters")
        if (completion.invalid_mass or 0.0) > _REPORTED_INVALID_MASS:
            remarks.append(f"{completion.invalid_mass:.0%} of the probability lay outside the codes")
        return "; ".join(remarks)
