"""The chat annotator: several prompts a text, one annotation each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

import httpx2

from llm_al.annotators.chat.counting import count_tokens
from llm_al.annotators.chat.estimates import Estimate, Estimator
from llm_al.annotators.chat.prompts import load_prompt
from llm_al.annotators.chat.questions import Classify, Verify
from llm_al.annotators.chat.replies import Completion
from llm_al.annotators.chat.verification import Ballot, Indexed, Verification
from llm_al.annotators.engine.answers import Answer
from llm_al.annotators.engine.batches import Batches, Batching
from llm_al.annotators.engine.cashier import CapReachedError
from llm_al.annotators.engine.engine import Ask, Engine, NotAnsweredError
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.session import Session
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing, Sampling, Waiting
from llm_al.errors import ConfigError
from llm_al.money import Ledger
from llm_al.protocols import Demonstrator, Progress
from llm_al.types import Annotation, AnnotatorKind, Demonstration, Example, LabelScheme, Signal

__all__ = ["Chat"]

_REPORTED_INVALID_MASS = 0.1
_VERIFY = "verify.v1"
_CHUNK = 256
"""Examples whose demonstrations are looked up at once."""


@dataclass(frozen=True)
class Job:
    """One example under one prompt; `index` gives the order of results, `ballot` is shared by an example's jobs."""

    index: int
    example: Example
    question: Classify
    ballot: Ballot
    demonstrations: tuple[Demonstration, ...] = ()


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
        See these classes.
    rationale : bool
        Ask for one sentence before the label; it becomes the annotation's reason.
    sureness : bool
        Ask how likely the label is in one of five words, for the signal `verbalised`.
    verify : bool
        Ask once more about each text whether its most frequent label is right, for the signal `p_true`.
    demonstrator : Demonstrator, optional
        Gives solved examples for each text.
    round : int
        Written into annotations and the ledger.
    prompt_folder : Path, optional
        Templates of the user, found before the shipped ones.
    batching : Batching, optional
        Have answers made in batches, within a day at half the price; None asks at once. `annotate` then returns
        what is answered and leaves out the rest: `n_waiting` tells how many answers are under way.
    tokenize : bool, optional
        Let `estimate` ask the server's `/tokenize`; None does so on local servers.
    transport : httpx2.AsyncBaseTransport, optional
        In place of the network, for tests.
    progress : callable, optional
        Called with ("llm", done, total).

    Raises
    ------
    ConfigError
        If a prompt is unknown or none is given, one has no place for a rationale, a sureness or demonstrations
        that are asked for, or there is a cap and the price is unknown.
    """

    scheme: LabelScheme
    endpoint: Endpoint
    ledger: Ledger = field(repr=False, compare=False)
    prompts: tuple[str, ...] = ("classify.v2", "classify_reversed.v2", "classify_terse.v2")
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    pricing: Pricing = field(default_factory=Pricing)
    rationale: bool = False
    sureness: bool = False
    verify: bool = False
    demonstrator: Demonstrator | None = field(default=None, repr=False, compare=False)
    round: int = 0
    prompt_folder: Path | None = None
    waiting: Waiting = field(default_factory=Waiting, repr=False, compare=False)
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False, compare=False)
    progress: Progress | None = field(default=None, repr=False, compare=False)
    session: Session = field(default_factory=Session, repr=False, compare=False)
    batching: Batching | None = None
    tokenize: bool | None = None

    def __post_init__(self) -> None:
        if not self.prompts or len(set(self.prompts)) < len(self.prompts):
            raise ConfigError(f"llm.prompts is {list(self.prompts)}; give at least one prompt, each once")
        for question in self.questions():
            if self.demonstrator is not None and not question.prompt.takes_demonstrations:
                raise question.no_demonstrations()
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

    @property
    def is_batch(self) -> bool:
        """Whether answers come later than they are asked for."""
        return self.batching is not None

    @property
    def n_waiting(self) -> int:
        """Answers that the last `annotate` left out because a batch makes them; ask again later."""
        return self.session.n_waiting

    @property
    def engine(self) -> Engine:
        """What asks the server; shares what has been learnt about it."""
        return Engine(
            self.endpoint,
            self.ledger,
            limits=self.limits,
            pricing=self.pricing,
            round=self.round,
            waiting=self.waiting,
            transport=self.transport,
            session=self.session,
        )

    def questions(self) -> list[Classify]:
        """Return the question of each prompt."""
        prompts = [load_prompt(name, self.scheme, folder=self.prompt_folder) for name in self.prompts]
        return [
            Classify(prompt, self.sampling, self.endpoint, rationale=self.rationale, verbal=self.sureness)
            for prompt in prompts
        ]

    def verification(self) -> Verification | None:
        """Return the question that comes after all others; None where it is not asked."""
        if not self.verify:
            return None
        prompt = load_prompt(_VERIFY, self.scheme, folder=self.prompt_folder)
        return Verification(Verify(prompt, self.sampling, self.endpoint))

    def check(self) -> None:
        """Fail now if no server answers or the key is refused; free of charge.

        Raises
        ------
        ProviderUnreachableError, AuthenticationError, OverloadedError
        """
        self.engine.check()

    def check_cap(self, example: Example) -> None:
        """Fail now if the cap is below the price of one call about `example`; sends nothing.

        Raises
        ------
        BudgetError
        """
        [shown] = self._shown([example])
        self.engine.check_cap(self.questions()[0].request(example.text, shown))

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
        if not examples:
            self.session.stop_reason, self.session.n_waiting = "", 0
            return []
        found = sorted(self._found(examples, n_total=len(examples) * len(self.prompts)), key=lambda pair: pair[0])
        counts = Counter(annotation.example_id for _, annotation in found)
        # While a batch is under way, an example is handed on when all of its prompts are answered.
        n_needed = len(self.prompts) if self.session.n_waiting else 1
        return [annotation for _, annotation in found if counts[annotation.example_id] >= n_needed]

    def stream(self, examples: Iterable[Example]) -> Iterator[Annotation]:
        """Yield annotations as they come, in any order; memory does not grow with the number of examples.

        Raises as `annotate` does.
        """
        for _, annotation in self._found(examples, n_total=0):
            yield annotation

    def stop(self) -> None:
        """Ask an `annotate` that another thread is in to end early; answers under way are kept."""
        self.session.stop()

    def estimate(self, examples: Sequence[Example]) -> Estimate:
        """Return calls, tokens and money for these examples; sends nothing.

        As long as nobody has labelled anything, the next examples stand for the demonstrations to come.
        """
        questions, verification = self.questions(), self.verification()

        def requests_of(position: int) -> list[Request]:
            example, stand_ins = examples[position], self._stand_ins(examples, position)
            [shown] = self._shown([example])
            requests = [question.request(example.text, shown or stand_ins) for question in questions]
            if verification is not None:
                requests.append(verification.question.request(example.text, self.scheme.names[0]))
            return requests

        estimator = Estimator(
            self.endpoint,
            self.ledger,
            self.limits,
            self.pricing.known(self.endpoint),
            batch_factor=self.batching.price_factor if self.batching is not None else None,
            latency_s=self.session.latency_s,
            tokenize=self.tokenize,
            transport=self.transport,
        )
        return estimator.estimate(requests_of, len(examples), n_repeatable=len(questions))

    def highest_cost_nanousd(self, example: Example) -> int | None:
        """Return what the first calls about one example cost at the high end; None for an unknown price."""
        price = self.pricing.known(self.endpoint)
        if price is None:
            return None
        factor = self.batching.price_factor if self.batching is not None else 1.0
        [shown] = self._shown([example])
        requests = [question.request(example.text, shown) for question in self.questions()]
        return sum(
            price.cost_nanousd(round(count_tokens(r)[2]), r.sampling.max_answer_tokens, factor=factor)
            for r in requests
            if self.ledger.cached(r.hash) is None
        )

    def _stand_ins(self, examples: Sequence[Example], position: int) -> tuple[Demonstration, ...]:
        n_shown = 0 if self.demonstrator is None else min(self.demonstrator.k, len(examples) - 1)
        label = self.scheme.names[0]
        places = range(position + 1, position + 1 + n_shown)
        return tuple(Demonstration(examples[place % len(examples)].text, label) for place in places)

    def _found(self, examples: Iterable[Example], *, n_total: int) -> Iterator[Indexed]:
        verification = self.verification()

        async def work(ask: Ask, job: Job) -> list[Indexed]:
            found = await self._annotate(ask, job)
            if verification is None:
                return [] if found is None else [found]
            return await verification.add(ask, job.example, job.ballot.found) if job.ballot.take(found) else []

        engine = self.engine if self.batching is None else Batches(self.engine, self.batching)
        for n_done, found in enumerate(engine.map(work, self._jobs(examples)), start=1):
            if self.progress is not None:
                self.progress("llm", n_done, n_total)
            yield from found

    def _jobs(self, examples: Iterable[Example]) -> Iterator[Job]:
        questions, index, rest = self.questions(), count(), iter(examples)
        while chunk := list(islice(rest, _CHUNK)):
            for example, shown in zip(chunk, self._shown(chunk), strict=True):
                ballot = Ballot(len(questions))
                for question in questions:
                    yield Job(next(index), example, question, ballot, shown)

    def _shown(self, examples: Sequence[Example]) -> list[tuple[Demonstration, ...]]:
        return [()] * len(examples) if self.demonstrator is None else self.demonstrator.show(examples)

    async def _annotate(self, ask: Ask, job: Job) -> Indexed | None:
        """Return the annotation of one job; None when the cap does not allow it."""
        request = job.question.request(job.example.text, job.demonstrations)
        try:
            answers = [await ask(request)]
        except CapReachedError:
            return None
        except NotAnsweredError as exc:
            return job.index, replace(self._blank(job), request_hash=request.hash, reason=f"no answer: {exc}")
        completion = job.question.read(answers[0])
        if completion.reply.failure:
            answers += await _second_answer(ask, job.question, answers[0], completion.reply.failure)
            completion = job.question.read(answers[-1])
        return job.index, self._annotation(job, answers, completion)

    def _blank(self, job: Job) -> Annotation:
        model, prompt = self.endpoint.model, job.question.prompt.name
        return Annotation(
            job.example.id,
            None,
            f"llm:{model}/{prompt}",
            kind=AnnotatorKind.LLM,
            model=model,
            prompt=prompt,
            round=self.round,
        )

    def _annotation(self, job: Job, answers: Sequence[Answer], completion: Completion) -> Annotation:
        durations = [answer.duration_s for answer in answers if answer.duration_s is not None]
        names, reply = self.scheme.names, completion.reply
        return replace(
            self._blank(job),
            label=reply.label,
            confidence=completion.confidence,
            proba=tuple(completion.proba[name] for name in names)
            if completion.proba and reply.label in names
            else None,
            signals=dict(completion.signals),
            request_hash=answers[-1].request.hash,
            n_tokens_in=sum(answer.n_tokens[0] for answer in answers),
            n_tokens_out=sum(answer.n_tokens[1] for answer in answers),
            cost_nanousd=sum(answer.cost_nanousd for answer in answers),
            duration_s=sum(durations) if durations else None,
            reason=self._remark(job, completion),
        )

    def _remark(self, job: Job, completion: Completion) -> str:
        remarks = [remark for remark in (completion.reply.failure, completion.rationale) if remark]
        if len(job.example.text) > self.sampling.max_text_characters:
            remarks.append(f"the text was cut to {self.sampling.max_text_characters} characters")
        invalid_mass = completion.signals.get(Signal.INVALID_MASS, 0.0)
        if invalid_mass > _REPORTED_INVALID_MASS:
            remarks.append(f"{invalid_mass:.0%} of the probability lay outside the codes")
        return "; ".join(remarks)


async def _second_answer(ask: Ask, question: Classify, first: Answer, failure: str) -> list[Answer]:
    """Ask once more after an off-list answer; empty when that brings no answer."""
    again: Request = question.again(first.request, first, failure)
    try:
        return [await ask(again)]
    except (CapReachedError, NotAnsweredError):
        return []
