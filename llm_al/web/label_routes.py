"""What the label page asks and sends."""

from collections.abc import Iterable
from dataclasses import asdict
from string import ascii_lowercase
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from llm_al.people.desk_types import Reply
from llm_al.web.answers import Json
from llm_al.web.bodies import AnswerBody, BulkBody, FlagBody, ReplyBody, UndoBody
from llm_al.web.sessions import Anybody, Visitor
from llm_al.web.site import Site, site_of

__all__ = ["keys_for", "router"]

router = APIRouter(prefix="/api")

_AHEAD = 3
_TAKEN = "xugfn"
_Have = Annotated[str, Query(pattern=r"^([0-9]{1,18}(,[0-9]{1,18}){0,199})?$", max_length=4000)]


def keys_for(n_labels: int) -> list[str]:
    """Return a key for each label: 1 to 9, then letters that mean nothing else, then none.

    Examples
    --------
    >>> keys_for(11)[8:], keys_for(40)[-1]
    (['9', 'a', 'b'], '')
    """
    keys = [*"123456789", *(letter for letter in ascii_lowercase if letter not in _TAKEN)]
    return [*keys, *[""] * n_labels][:n_labels]


def _proceed(
    site: Site, visitor: Visitor, replies: Iterable[ReplyBody] = (), *, have: list[int], n: int = _AHEAD
) -> Json:
    """Keep answers, all or none, and return what comes next."""
    desk = site.project.desk
    items = desk.proceed(visitor.name, [_reply(reply) for reply in replies], n=n, have=have)
    return Json({"items": [asdict(item) for item in items], "standing": asdict(desk.standing(visitor.name))})


def _reply(body: ReplyBody) -> Reply:
    return Reply(**body.model_dump(include=set(ReplyBody.model_fields)))


@router.get("/scheme")
def scheme(request: Request, visitor: Anybody) -> Response:
    """Return the labels with their keys, and who is asking."""
    site = site_of(request)
    labels = site.project.scheme.labels
    rows = [
        {"name": label.name, "description": label.description, "key": key}
        for label, key in zip(labels, keys_for(len(labels)), strict=True)
    ]
    person: dict[str, Any] = {"name": visitor.name, "role": visitor.role}
    found = {"labels": rows, "is_open": site.project.scheme.is_open, "project": site.project.config.name}
    return Json({**found, "suggestions": site.project.config.human.suggestions, "person": person})


@router.get("/next")
def next_questions(
    request: Request, visitor: Anybody, n: Annotated[int, Query(ge=1, le=20)] = _AHEAD, have: _Have = ""
) -> Response:
    """Return questions that the page does not have yet."""
    return _proceed(site_of(request), visitor, have=[int(part) for part in have.split(",") if part], n=n)


@router.post("/answers")
def answer(request: Request, visitor: Anybody, body: AnswerBody) -> Response:
    """Keep an answer, then return the next question."""
    return _proceed(site_of(request), visitor, [body], have=body.have)


@router.post("/bulk")
def answer_all(request: Request, visitor: Anybody, body: BulkBody) -> Response:
    """Keep the answers to a cluster, all or none."""
    return _proceed(site_of(request), visitor, body.replies, have=body.have)


@router.post("/undo")
def undo(request: Request, visitor: Anybody, body: UndoBody) -> Response:
    """Take an own answer back and return its question."""
    desk = site_of(request).project.desk
    item = desk.take_back(visitor.name, body.ticket)
    return Json({"item": asdict(item), "standing": asdict(desk.standing(visitor.name))})


@router.post("/flags")
def flag(request: Request, visitor: Anybody, body: FlagBody) -> Response:
    """Ask that a text be looked at."""
    site_of(request).project.desk.flag(visitor.name, body.ticket, body.note)
    return Json({})


@router.get("/history")
def history(request: Request, visitor: Anybody, n: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """Return the visitor's own answers, newest first."""
    past = site_of(request).project.desk.history(visitor.name, n=n)
    return Json({"answers": [asdict(item) for item in past]})
