"""What a model is asked about a text, and how its answer is read: objects without any network."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from llm_al.annotators.chat.codes import Choice
from llm_al.annotators.chat.fences import cut_middle, sendable
from llm_al.annotators.chat.prompts import AnswerForm, Prompt
from llm_al.annotators.chat.replies import SURENESS, Completion, read_envelope
from llm_al.annotators.chat.templates import prompt_names
from llm_al.annotators.engine.answers import Answer
from llm_al.annotators.engine.requests import Message, Request, Schema, make_request
from llm_al.annotators.engine.settings import Endpoint, Sampling
from llm_al.errors import ConfigError
from llm_al.types import Demonstration

__all__ = ["Classify", "Pick", "Preference", "Verify"]

RATIONALE_TOKENS = 96
"""Added to `max_answer_tokens` for the one sentence."""
_SURENESS_TOKENS = 12
_MIN_TOP_LOGPROBS, _MAX_TOP_LOGPROBS = 5, 20
"""Servers give no more than 20; fewer than 5 would hide spellings."""
_MAX_SAID_CHARACTERS = 2_000


def _check_task(prompt: Prompt, task: str) -> None:
    if prompt.task != task:
        raise ConfigError(
            f"prompt {prompt.name!r} is made for the task {prompt.task!r}, not {task!r}; "
            f"choose from: {', '.join(prompt_names(task))}"
        )


def _n_top_logprobs(n_codes: int) -> int:
    return min(_MAX_TOP_LOGPROBS, max(_MIN_TOP_LOGPROBS, n_codes))


def _prompt_messages(system: str, user: str) -> tuple[Message, ...]:
    return ({"role": "system", "content": system}, {"role": "user", "content": user})


@dataclass(frozen=True)
class Classify:
    """Asks which label fits a text.

    Parameters
    ----------
    prompt : Prompt
        Of the task `classify`.
    sampling : Sampling
        Texts longer than `max_text_characters` are cut in the middle.
    endpoint : Endpoint
    rationale : bool
        Ask for one sentence before the code; the answer may be longer by `RATIONALE_TOKENS` tokens.
    verbal : bool
        Ask for one of the five words of `replies.SURENESS` after the code.

    Raises
    ------
    ConfigError
        If the prompt is made for something else, or has no place for what is asked beside the code.
    """

    prompt: Prompt
    sampling: Sampling
    endpoint: Endpoint
    rationale: bool = False
    verbal: bool = False

    def __post_init__(self) -> None:
        _check_task(self.prompt, "classify")
        if (self.rationale or self.verbal) and "form" not in self.prompt.variables:
            raise ConfigError(
                f"prompt {self.prompt.name!r} asks for the code alone: it has no {{{{ form }}}}; take a version that "
                "has, such as classify.v2, or set llm.rationale and llm.sureness to false"
            )

    @cached_property
    def schema(self) -> Schema:
        """The codes, with the rationale before and the sureness after them."""
        properties: dict[str, Any] = {"rationale": {"type": "string"}} if self.rationale else {}
        properties["code"] = {"type": "string", "enum": list(self.prompt.names_by_code)}
        if self.verbal:
            properties["sureness"] = {"type": "string", "enum": list(SURENESS)}
        return Schema.of("label", properties)

    @cached_property
    def _form(self) -> AnswerForm:
        return AnswerForm(self.rationale, self.verbal)

    @cached_property
    def _system(self) -> str:
        return self.prompt.system(self._form)

    @cached_property
    def _sampling(self) -> Sampling:
        n_extra = RATIONALE_TOKENS * self.rationale + _SURENESS_TOKENS * self.verbal
        return replace(self.sampling, max_answer_tokens=self.sampling.max_answer_tokens + n_extra)

    def request(self, text: str, demonstrations: Sequence[Demonstration] = ()) -> Request:
        """Return the question about one text.

        Parameters
        ----------
        demonstrations : sequence of Demonstration
            The one nearest to the text last.

        Raises
        ------
        ConfigError
            If there are demonstrations and the prompt cannot show them, or one has an unknown label.
        """
        if demonstrations and not self.prompt.takes_demonstrations:
            raise self.no_demonstrations()
        shown = cut_middle(text, self.sampling.max_text_characters)
        return self._ask(_prompt_messages(self._system, self.prompt.user(shown, demonstrations, form=self._form)))

    def no_demonstrations(self) -> ConfigError:
        """Return the error that says that the prompt has no place for solved examples."""
        return ConfigError(
            f"prompt {self.prompt.name!r} shows no demonstrations; take a version that does, such as "
            "classify.v2, or set llm.demonstrations: none"
        )

    def again(self, first: Request, answer: Answer, failure: str) -> Request:
        """Return the second question, after an answer that is off the list."""
        said = sendable(answer.envelope.content)[:_MAX_SAID_CHARACTERS]
        complaint = f"Not accepted: {failure}. Answer again with {self._form} only, CODE from the list."
        return self._ask(
            (
                *first.messages,
                {"role": "assistant", "content": said or "(nothing)"},
                {"role": "user", "content": sendable(complaint)},
            )
        )

    def read(self, answer: Answer) -> Completion:
        """Return the label, or why there is none, and how sure the model was."""
        return read_envelope(answer.envelope, self.prompt.names_by_code)

    def _ask(self, messages: Sequence[Message]) -> Request:
        return make_request(
            self.endpoint,
            self._sampling,
            prompt=self.prompt.name,
            messages=messages,
            schema=self.schema,
            n_top_logprobs=_n_top_logprobs(len(self.prompt.names_by_code)),
        )


_YES_NO: Mapping[str, str] = {"yes": "yes", "no": "no"}


@dataclass(frozen=True)
class Verify:
    """Asks whether a proposed label fits a text, for p(true).

    Parameters
    ----------
    prompt : Prompt
        Of the task `verify`.

    References
    ----------
    Kadavath et al. (2022). Language models (mostly) know what they know. arXiv:2207.05221. Theirs shows
    several samples beside the proposed answer; ours shows the answer alone.
    """

    prompt: Prompt
    sampling: Sampling
    endpoint: Endpoint

    def __post_init__(self) -> None:
        _check_task(self.prompt, "verify")

    @cached_property
    def _system(self) -> str:
        return self.prompt.system()

    def request(self, text: str, label: str) -> Request:
        """Return the question whether `label` fits.

        Raises
        ------
        ConfigError
            If the label is not on the list.
        """
        proposed = self.prompt.choice(label)
        shown = cut_middle(text, self.sampling.max_text_characters)
        return make_request(
            self.endpoint,
            self.sampling,
            prompt=self.prompt.name,
            messages=_prompt_messages(self._system, self.prompt.user(shown, proposed=proposed)),
            schema=Schema.of("verdict", {"answer": {"type": "string", "enum": list(_YES_NO)}}),
            n_top_logprobs=_MIN_TOP_LOGPROBS,
        )

    def read(self, answer: Answer) -> float | None:
        """Return the probability of "yes" among "yes" and "no".

        None when the server told no alternatives to its answer: a bare yes or no is no probability.
        """
        completion = read_envelope(answer.envelope, _YES_NO, key="answer")
        return None if completion.proba is None else completion.proba["yes"]


@dataclass(frozen=True)
class Preference:
    """Which of two labels a model prefers.

    Parameters
    ----------
    label : str or None
        None when the two orders disagree, or an answer is not valid.
    share : float or None
        Probability of the first label, mean of both orders; None where unknown.
    """

    label: str | None
    share: float | None


@dataclass(frozen=True)
class Pick:
    """Asks which of two labels fits a text better, in both orders, because models favour a place.

    Parameters
    ----------
    prompt : Prompt
        Of the task `pick`.

    References
    ----------
    Wang et al. (2024). Large language models are not fair evaluators. ACL 2024, 9440-9450.
    """

    prompt: Prompt
    sampling: Sampling
    endpoint: Endpoint

    def __post_init__(self) -> None:
        _check_task(self.prompt, "pick")

    @cached_property
    def _system(self) -> str:
        return self.prompt.system()

    def requests(self, text: str, first: str, second: str) -> tuple[Request, Request]:
        """Return the question in both orders; which comes first is drawn from a hash of the text.

        The pair is the same whichever label is given first, so that asking the other way round is free.

        Raises
        ------
        ConfigError
            If the labels are equal, or one of them is not on the list.
        """
        pair = self._pair(text, first, second)
        return self._ask(text, pair), self._ask(text, pair[::-1])

    def read(self, text: str, first: str, second: str, answers: Sequence[Answer]) -> Preference:
        """Return the preference from the answers to `requests`, in that order."""
        pair = self._pair(text, first, second)
        read = [
            read_envelope(answer.envelope, {choice.code: choice.name for choice in order})
            for order, answer in zip((pair, pair[::-1]), answers, strict=True)
        ]
        labels = {completion.label for completion in read}
        shares = [completion.proba[first] for completion in read if completion.proba is not None]
        return Preference(
            label=labels.pop() if len(labels) == 1 else None,
            share=sum(shares) / len(shares) if len(shares) == len(read) else None,
        )

    def _pair(self, text: str, first: str, second: str) -> tuple[Choice, Choice]:
        if first == second:
            raise ConfigError(f"two labels are needed to pick from; got {first!r} twice; give two that differ")
        one, two = sorted((self.prompt.choice(first), self.prompt.choice(second)), key=lambda choice: choice.name)
        digest = hashlib.sha256(json.dumps([text, one.name, two.name]).encode()).digest()
        return (two, one) if digest[0] % 2 else (one, two)

    def _ask(self, text: str, pair: tuple[Choice, ...]) -> Request:
        shown = cut_middle(text, self.sampling.max_text_characters)
        return make_request(
            self.endpoint,
            self.sampling,
            prompt=self.prompt.name,
            messages=_prompt_messages(self._system, self.prompt.user(shown, pair=pair)),
            schema=Schema.of("better", {"code": {"type": "string", "enum": [choice.code for choice in pair]}}),
            n_top_logprobs=_MIN_TOP_LOGPROBS,
        )
