"""The chat annotator: several prompts a text, one annotation each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from llm_al.annotators.chat.client import Client, Session
from llm_al.annotators.chat.estimates import N_TOKENS_OUT, Estimate, count_tokens, sample
from llm_al.annotators.chat.ledger import Ledger
from llm_al.annotators.chat.limits import Retrier
from llm_al.annotators.chat.prices import price_of
from llm_al.annotators.chat.prompts import Prompt, load_prompt
from llm_al.annotators.chat.requests import ask
from llm_al.annotators.chat.run import Job, Run, Terms, cap_too_low
from llm_al.annotators.chat.settings import Endpoint, Limits, Pricing, Sampling, Waiting
from llm_al.annotators.chat.workers import Stop, run_blocking, work_through
from llm_al.errors import ConfigError
from llm_al.protocols import Progress
from llm_al.types import Annotation, AnnotatorKind, Example, LabelScheme

__all__ = ["Chat"]

_CHECK_TRIES = 2


@dataclass(frozen=True)
class Chat:
    """A language model behind any OpenAI-compatible server.

    Each prompt gives one annotation an example; all share `model`, so that consensus can merge them
    into one vote. Every answer is in the ledger before it is used: asking the same again is free.
    `dataclasses.replace(chat, round=3)` gives the annotator of another round that shares what this one
    has learnt about the server.

    Parameters
    ----------
    scheme : LabelScheme
    endpoint : Endpoint
    ledger : Ledger
        Cache and money; the store's, or a `MemoryLedger`.
    prompts : tuple of str
        Template names; see `prompts.prompt_names`.
    sampling, limits, pricing, waiting
        See these classes. A try that timed out before a later one succeeded is not charged in the ledger.
    round : int
        Written into annotations and the ledger.
    prompt_folder : Path, optional
        Templates of the user, found before the shipped ones.
    transport : httpx2.AsyncBaseTransport, optional
        In place of the network, for tests.
    progress : callable, optional
        Called with ("llm", done, total).

    Raises
    ------
    ConfigError
        If a prompt is unknown or none is given, or there is a cap and the price is unknown.
    """

    scheme: LabelScheme
    endpoint: Endpoint
    ledger: Ledger = field(repr=False, compare=False)
    prompts: tuple[str, ...] = ("classify.v1", "classify_reversed.v1", "classify_terse.v1")
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    pricing: Pricing = field(default_factory=Pricing)
    round: int = 0
    prompt_folder: Path | None = None
    waiting: Waiting = field(default_factory=Waiting, repr=False, compare=False)
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False, compare=False)
    progress: Progress | None = field(default=None, repr=False, compare=False)
    session: Session = field(default_factory=Session, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.prompts or len(set(self.prompts)) < len(self.prompts):
            raise ConfigError(f"llm.prompts is {list(self.prompts)}; give at least one prompt, each once")
        self._load_prompts()
        self.pricing.resolve(self.endpoint)

    @property
    def name(self) -> str:
        """`llm:` and the model."""
        return f"llm:{self.endpoint.model}"

    @property
    def kind(self) -> AnnotatorKind:
        """Always LLM."""
        return AnnotatorKind.LLM

    @property
    def stop_reason(self) -> str:
        """Why the last `annotate` left examples out; empty if it did not."""
        return self.session.stop_reason

    def check(self) -> None:
        """Fail now if no server answers or the key is refused; free of charge.

        Raises
        ------
        ProviderUnreachableError, AuthenticationError, OverloadedError
        """

        async def main() -> None:
            limits = Limits(1, self.limits.timeout_s, min(self.limits.max_tries, _CHECK_TRIES), self.limits.max_wait_s)
            async with self._client(limits, Stop()) as client:
                await client.check()

        run_blocking(main)

    def check_cap(self, example: Example) -> None:
        """Fail now if the cap is below the price of one call about `example`; sends nothing.

        Raises
        ------
        BudgetError
        """
        cap, price = self.pricing.cap_nanousd, self.pricing.resolve(self.endpoint)
        request = ask(self.endpoint, self.sampling, self._load_prompts()[0], example.text)
        max_cost = request.max_cost_nanousd(price, self.sampling)
        if cap is not None and max_cost > cap and self.ledger.cached(request.hash) is None:
            raise cap_too_low(cap, max_cost, self.endpoint.model)

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return one annotation an example and prompt, in that order.

        Off-list answers are asked for once more, then abstain; a text that the server refuses abstains
        with its reason. When the cap is reached, the rest is left out and `stop_reason` says so.

        Raises
        ------
        BudgetError
            If the cap is below the price of the first call; nothing was sent.
        ProviderError
            If the server is unreachable, refuses the key or the requests, or stays overloaded. Answers
            that were under way are in the ledger.
        """
        self.session.stop_reason = ""
        if not examples:
            return []
        found = run_blocking(lambda: self._run(examples))
        return [annotation for _, annotation in sorted(found, key=lambda pair: pair[0])]

    def estimate(self, examples: Sequence[Example]) -> Estimate:
        """Return calls, tokens and money for these examples; sends nothing."""
        low = middle = high = 0.0
        n_asked = n_cached = 0
        prompts, positions = self._load_prompts(), sample(len(examples))
        for prompt in prompts:
            for position in positions:
                request = ask(self.endpoint, self.sampling, prompt, examples[position].text)
                if self.ledger.cached(request.hash) is not None:
                    n_cached += 1
                    continue
                n_asked += 1
                counts = count_tokens(request)
                low, middle, high = low + counts[0], middle + counts[1], high + counts[2]
        scale = len(examples) / len(positions) if positions else 0.0
        n_calls = round(n_asked * scale)
        n_out = (5 * n_calls, N_TOKENS_OUT * n_calls, max(self.sampling.max_answer_tokens, 5) * n_calls)
        price = self.pricing.price or price_of(self.endpoint.model, self.endpoint.base_url)
        return Estimate(
            n_calls=n_calls,
            n_cached=len(examples) * len(prompts) - n_calls,
            n_tokens_in=round(middle * scale),
            n_tokens_out=n_out[1],
            cost_low_nanousd=price.cost_nanousd(round(low * scale), n_out[0]) if price else None,
            cost_high_nanousd=price.cost_nanousd(round(high * scale), n_out[2]) if price else None,
        )

    def _load_prompts(self) -> list[Prompt]:
        return [load_prompt(name, self.scheme, folder=self.prompt_folder) for name in self.prompts]

    def _client(self, limits: Limits, stop: Stop) -> Client:
        retrier = Retrier(limits, self.waiting, stop)
        return Client(self.endpoint, self.sampling, limits=limits, retrier=retrier, transport=self.transport)

    async def _run(self, examples: Sequence[Example]) -> list[tuple[int, Annotation]]:
        terms = Terms(
            scheme=self.scheme,
            endpoint=self.endpoint,
            sampling=self.sampling,
            price=self.pricing.resolve(self.endpoint),
            cap_nanousd=self.pricing.cap_nanousd,
            round=self.round,
        )
        stop = Stop()
        n_total, n_done = len(examples) * len(self.prompts), 0
        async with self._client(self.limits, stop) as client:
            run = Run(terms, ledger=self.ledger, client=client, session=self.session)

            async def work(job: Job) -> tuple[int, Annotation] | None:
                nonlocal n_done
                answered = await run.annotate(job)
                n_done += 1
                if self.progress is not None:
                    self.progress("llm", n_done, n_total)
                return answered

            n_workers = min(self.limits.concurrency, n_total)
            found = await work_through(self._jobs(examples), work, n_workers=n_workers, stop=stop)
        run.give_up_if_all_failed()
        return [pair for pair in found if pair is not None]

    def _jobs(self, examples: Sequence[Example]) -> Iterator[Job]:
        prompts = self._load_prompts()
        index = 0
        for example in examples:
            for prompt in prompts:
                yield Job(index, example, prompt)
                index += 1
