"""What the review page asks and sends."""

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from llm_al.people.answering import person_name
from llm_al.web.answers import Json
from llm_al.web.bodies import RulingBody, SettleBody
from llm_al.web.sessions import Reviewer, needs_reviewer
from llm_al.web.site import site_of

__all__ = ["router"]

router = APIRouter(prefix="/api", dependencies=[needs_reviewer])

_KINDS = {"disagreements": "disagreement", "label_errors": "label_error", "flags": "flag"}
_Kind = Literal["disagreements", "label_errors", "flags"]
_Offset = Annotated[int, Query(ge=0, le=10**9)]
_Number = Annotated[int, Query(ge=1, le=200)]


@router.get("/review")
def cases(request: Request, kind: _Kind = "disagreements", offset: _Offset = 0, n: _Number = 20) -> Response:
    """Return texts that somebody should decide about."""
    review, name = site_of(request).project.review, _KINDS[kind]
    found, total = review.cases(name, offset=offset, n=n)
    rows = [asdict(case) for case in found]
    return Json({"cases": rows, "total": total, "as_of": review.as_of(name), "note": review.note(name)})


@router.post("/rulings")
def rule(request: Request, visitor: Reviewer, body: RulingBody) -> Response:
    """Settle the label of a text."""
    review = site_of(request).project.review
    review.rule(body.example_id, body.label, person=visitor.name, note=body.note, is_gold=body.is_gold)
    return Json({})


@router.post("/flags/settle")
def settle(request: Request, visitor: Reviewer, body: SettleBody) -> Response:
    """Say that the flags of a text are dealt with."""
    site_of(request).project.store.flags.settle(body.example_id, by=person_name(visitor.name))
    return Json({})
