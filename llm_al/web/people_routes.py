"""What the people page asks and sends."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llm_al.store.people import Invite, Person
from llm_al.web.answers import Json
from llm_al.web.bodies import InviteBody, PersonBody
from llm_al.web.sessions import Owner, Visitor, address_of, base_of, needs_owner
from llm_al.web.site import site_of

__all__ = ["router"]

router = APIRouter(prefix="/api", dependencies=[needs_owner])

_ID_LENGTH = 16
_Name = Annotated[str, Path(min_length=1, max_length=64)]
_InviteId = Annotated[str, Path(pattern=f"^[0-9a-f]{{{_ID_LENGTH}}}$")]


def _row(person: Person, visitor: Visitor) -> dict[str, Any]:
    return {
        "name": person.name,
        "role": person.role,
        "is_active": person.is_active,
        "expertise": person.expertise,
        "created_s": person.created_s,
        "is_you": person.name == visitor.name,
    }


def _invite_row(invite: Invite) -> dict[str, Any]:
    # The beginning of the digest: enough to withdraw it, of no use to accept it.
    return {"id": invite.digest[:_ID_LENGTH], **{k: v for k, v in asdict(invite).items() if k != "digest"}}


@router.get("/people")
def people(request: Request, visitor: Owner) -> Response:
    """Return everybody."""
    return Json({"people": [_row(person, visitor) for person in site_of(request).roster.people()]})


@router.post("/people/{name}")
def change(request: Request, name: _Name, body: PersonBody) -> Response:
    """Change a person's role, access or expertise."""
    site = site_of(request)
    for label in body.expertise or ():
        site.project.scheme.index(label)
    site.roster.change(name, role=body.role, is_active=body.is_active, expertise=body.expertise)
    return Json({})


@router.post("/people/{name}/token")
def renew_token(request: Request, name: _Name) -> Response:
    """Give a person who has lost their password a token to log in with; it is shown this once, sessions end."""
    return Json({"token": site_of(request).roster.renew_token(name)})


@router.get("/invites")
def invites(request: Request) -> Response:
    """Return all invitations, without what they open."""
    return Json({"invites": [_invite_row(invite) for invite in site_of(request).roster.invitations()]})


@router.post("/invites")
def invite(request: Request, visitor: Owner, body: InviteBody) -> Response:
    """Make an invitation; its link is shown this once."""
    token = site_of(request).roster.invite(body.role, by=visitor.name, name=body.name, hours=body.hours)
    address = address_of(request)
    return Json({"url": f"{address.scheme}://{address.host}{base_of(request)}/invite/{token}"})


@router.delete("/invites/{invite_id}")
def withdraw(request: Request, invite_id: _InviteId) -> Response:
    """Take an invitation back."""
    if not site_of(request).roster.withdraw(invite_id):
        raise HTTPException(404, "there is no such invitation")
    return Json({})
