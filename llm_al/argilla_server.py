"""People at work on an Argilla v2 server: questions go there, and what everybody answered comes back.

==========================  =============================================================================
here                        there
==========================  =============================================================================
label list                  a label question ``label``; an open list has the option ``none_of_these`` too
guidelines                  the dataset's guidelines, with what each label means
``human.overlap``           ``distribution.min_submitted``
text, id, meta              field ``text``, external id, metadata
an LLM's answer             a suggestion with score and agent; none for texts that wait for a blind answer
a submitted response        the answer of ``human:<user name>``
a discarded response        that person's skip
a draft                     nothing
==========================  =============================================================================

The key of an owner or admin of the server comes from the environment variable `llm_al.argilla_client.KEY_ENV`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from llm_al.annotators.engine.prices import is_local
from llm_al.argilla_client import (
    KEY_ENV,
    connect,
    find_dataset,
    find_workspace,
    is_server,
    pages,
    sdk,
    speaking_to,
    user_names,
)
from llm_al.errors import ConfigError, DataError
from llm_al.exchange import Imported, project_records, take_records
from llm_al.formats.record_files import label_names
from llm_al.formats.records import Answer, Record, Suggestion
from llm_al.types import NONE_OF_THESE, RESERVED_LABELS, LabelScheme

if TYPE_CHECKING:
    from llm_al.project import Project

__all__ = ["Pushed", "is_server", "pull", "push"]

_FIELD, _QUESTION = "text", "label"
_BATCH = 250
_NO_AGENT = re.compile(r"[^a-zA-Z0-9_:./ -]")
_LONGEST_AGENT = 200


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Parameters
    ----------
    n_texts : int
        Texts that are there now.
    is_new : bool
        Whether the dataset was made.
    where : str
        Dataset, workspace and server, in words.
    """

    n_texts: int
    is_new: bool
    where: str

    def __str__(self) -> str:
        if not self.n_texts:
            return "nothing sent: no text waits for people, and people have answered all there are"
        return f"{self.n_texts} texts sent to {'the new ' if self.is_new else ''}{self.where}"


def push(project: "Project", url: str, *, dataset: str, workspace: str | None = None) -> Pushed:
    """Send the texts that wait for people to a dataset, which is made if need be.

    Those that are asked first go first. Where none waits, every text of the pool goes that no person has answered.
    Answers are never sent: those on the server are the newer ones. A text that was sent before is brought up to
    date, and keeps its responses.

    Parameters
    ----------
    workspace : str, optional
        May be absent where the server has one only.

    Raises
    ------
    ConfigError
        If the address or the key cannot be used, or the dataset is there with another question.
    UnknownNameError
        If there is no such workspace.
    MissingExtraError
        If the SDK is not installed.
    ProviderError
        If the server cannot be reached or refuses. What was sent stays; run it again.
    """
    client = _connect(project, url)
    place = find_workspace(client, workspace)
    target = find_dataset(client, place, dataset, is_needed=False)
    is_new = target is None
    target = _create(client, project, place, dataset) if is_new else target
    _check(target, _options(project.scheme), client.api_url)
    n_texts = sum(_send(client, target, batch) for batch in _batches(_questions(project)))
    if not is_new:
        _hide_suggestions(client, target, {item.example_id for item in project.store.pending() if item.is_blind})
    return Pushed(n_texts, is_new, f"dataset {dataset!r} of workspace {place.name!r} at {client.api_url}")


def pull(project: "Project", url: str, *, dataset: str, workspace: str | None = None) -> Imported:
    """Take everybody's responses from a dataset: all of them, or nothing when one is wrong.

    Answers that stand in the project already are not doubled, and another answer of the same person takes the
    earlier one back. A response that was deleted there, or made a draft again, stays as it was here.

    Raises
    ------
    ConfigError
        If the address or the key cannot be used, or the dataset has no single label question.
    UnknownNameError
        If there is no such workspace or dataset.
    DataError
        If a text or a label is unknown, or a response holds several labels.
    MissingExtraError
        If the SDK is not installed.
    ProviderError
        If the server cannot be reached or refuses.
    """
    client = _connect(project, url)
    place = find_workspace(client, workspace)
    source = find_dataset(client, place, dataset)
    reading = _Reading(
        f"dataset {dataset!r} at {client.api_url}",
        _only_question(source, client.api_url),
        user_names(client, place),
        project.scheme.names,
    )
    records = [reading.record(model) for model in pages(client, source, with_responses=True) if model.responses]
    return take_records(project, records, reading.origin)


def _connect(project: "Project", url: str) -> Any:
    client = connect(url)
    if client.api_url.startswith("http://") and not is_local(client.api_url):
        project.notes.append(
            f"{client.api_url} is not encrypted: the key in {KEY_ENV} and every text can be read on the way; "
            "use https://"
        )
    return client


def _options(scheme: LabelScheme) -> dict[str, str]:
    """Return the values of the question with their titles."""
    return {**{name: name for name in scheme.names}, **({NONE_OF_THESE: "None of these"} if scheme.is_open else {})}


def _guidelines(scheme: LabelScheme) -> str:
    # Always several lines: the SDK would read a file whose path it is given in place of a page.
    meanings = [f"- **{label.name}**: {label.description or 'no description'}" for label in scheme.labels]
    return "\n".join([scheme.guidelines.strip() or "# Guidelines", "", "## Labels", "", *meanings])


def _create(client: Any, project: "Project", workspace: Any, name: str) -> Any:
    argilla = sdk()
    with speaking_to(client.api_url):
        question = argilla.LabelQuestion(
            _QUESTION, _options(project.scheme), title="Which label fits the text best?", client=client
        )
        settings = argilla.Settings(
            fields=[argilla.TextField(_FIELD, title="Text", client=client)],
            questions=[question],
            guidelines=_guidelines(project.scheme),
            allow_extra_metadata=True,
            distribution=argilla.TaskDistribution(min_submitted=project.config.human.overlap),
        )
        return argilla.Dataset(name, workspace=workspace, settings=settings, client=client).create()


def _label_questions(dataset: Any) -> dict[str, Any]:
    kinds = ("label_selection", "multi_label_selection")
    return {question.name: question for question in dataset.questions if question.type in kinds}


def _check(dataset: Any, options: Iterable[str], url: str) -> None:
    """Refuse a dataset whose question is another one."""
    question = _label_questions(dataset).get(_QUESTION)
    missing = [name for name in options if question is None or name not in question.labels]
    has_text = any(field.name == _FIELD for field in dataset.fields)
    if missing or not has_text:
        lacks = f"the labels {', '.join(missing)} in a question {_QUESTION!r}" if missing else f"a field {_FIELD!r}"
        raise ConfigError(
            f"the dataset {dataset.name!r} at {url} is there already and lacks {lacks}; give another --dataset, or add "
            "them there"
        )


def _only_question(dataset: Any, url: str) -> str:
    found = _label_questions(dataset)
    if _QUESTION in found or len(found) == 1:
        return _QUESTION if _QUESTION in found else next(iter(found))
    raise ConfigError(
        f"the dataset {dataset.name!r} at {url} has {len(found)} label questions ({', '.join(found) or 'none'}); "
        f"expected one, or one called {_QUESTION!r}; name another --dataset"
    )


def _questions(project: "Project") -> Iterator[Record]:
    """Yield what people are to be asked, first things first."""
    rank = {question.example_id: number for number, question in enumerate(project.store.pending())}
    if rank:
        yield from sorted(project_records(project, ids=rank), key=lambda record: rank[record.id])
    else:
        yield from (record for record in project_records(project) if not record.annotations)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, _BATCH)):
        yield batch


def _send(client: Any, dataset: Any, records: list[Record]) -> int:
    argilla = sdk()
    with speaking_to(client.api_url):
        models = []
        for record in records:
            made = argilla.Record(
                id=record.id,
                fields={_FIELD: record.text},
                metadata=dict(record.meta),
                suggestions=[_suggestion(argilla, one) for one in record.suggestions[-1:]],
            )
            made.dataset = dataset
            models.append(made.api_model())
        # Not through the SDK's log(), which draws a progress bar.
        client.api.records.bulk_upsert(dataset.id, models)
    return len(models)


def _suggestion(argilla: Any, suggestion: Suggestion) -> Any:
    agent = _NO_AGENT.sub("-", suggestion.agent)[:_LONGEST_AGENT]
    return argilla.Suggestion(_QUESTION, suggestion.labels[0], score=suggestion.score, agent=agent or None)


def _hide_suggestions(client: Any, dataset: Any, blind: set[str]) -> None:
    """Delete suggestions of texts that became blind since they were sent: an update leaves them in place."""
    if not blind:
        return
    for model in pages(client, dataset, with_responses=False):
        if model.external_id in blind and model.suggestions:
            ids = ",".join(str(suggestion.id) for suggestion in model.suggestions)
            with speaking_to(client.api_url):
                path = f"/api/v1/records/{model.id}/suggestions"
                client.http_client.delete(path, params={"ids": ids}).raise_for_status()


@dataclass(frozen=True)
class _Reading:
    """How records of the server are read: `origin` for messages, user names by id, allowed labels."""

    origin: str
    question: str
    names: dict[str, str]
    labels: tuple[str, ...]

    def record(self, model: Any) -> Record:
        fields = model.fields or {}
        text = fields.get(_FIELD, next(iter(fields.values()), ""))
        record = Record(str(model.external_id), text if isinstance(text, str) else "")
        answers = (self._answer(response, record.id) for response in model.responses)
        seen = bool(model.suggestions)
        return replace(record, annotations=tuple(replace(answer, seen_suggestion=seen) for answer in answers))

    def _answer(self, response: Any, id_: str) -> Answer:
        user, status = str(response.user_id), str(response.status.value)
        said = (response.values or {}).get(self.question) or {}
        labels = label_names(said.get("value"), f"response to {id_!r}") if status == "submitted" else ()
        unknown = next((label for label in labels if label not in {*self.labels, *RESERVED_LABELS}), None)
        if unknown is not None:
            raise DataError(
                f"{self.origin}: unknown label {unknown!r} of {id_!r}; choose from: {', '.join(self.labels)}; nothing "
                "was imported; correct the response there or add the label to the label list"
            )
        return Answer(f"human:{self.names.get(user, user)}", labels=labels, status=status, form="list")
