"""Coming in and going: log in, log out, accept an invitation."""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from llm_al.errors import AccessError, TooOftenError
from llm_al.people.roster import Entry
from llm_al.web.answers import Json
from llm_al.web.bodies import LoginBody
from llm_al.web.forms import bind, check_bound, describe, form_key, read_form
from llm_al.web.pages import PAGES, render, show_message
from llm_al.web.sessions import COOKIE, address_of, base_of, drop_cookie, find_visitor, is_same, set_cookie
from llm_al.web.site import site_of

__all__ = ["router"]

router = APIRouter()

_Token = Annotated[str, Path(max_length=200)]
_LOGIN_FORM = describe(csrf=64, name=64, password=1024, token=1024, next=200)
_INVITE_FORM = describe(csrf=64, name=64, password=1024, password_again=1024)
_INVALID = "this invitation was used or has expired; ask the owner for a new one"


def _show_form(request: Request, page: str, *, status: int = 200, **more: Any) -> Response:
    key = form_key(request)
    response = render(request, page, status=status, **{**more, "csrf": site_of(request).sign("form", key)})
    bind(request, response, key)
    return response


def _next(given: str) -> str:
    """Return where to go after a login: a page of ours, never an address."""
    return given if given in PAGES else "/"


async def _enter(request: Request, name: str, password: str, token: str) -> Entry:
    roster, address = site_of(request).roster, address_of(request).client
    former = request.cookies.get(COOKIE)
    call: Callable[[], Entry]
    if token:
        call = partial(roster.login_with_token, token, address=address, former=former)
    else:
        call = partial(roster.login, name, password, address=address, former=former)
    return await site_of(request).logins.run(call)


def _welcome(request: Request, entry: Entry, path: str) -> Response:
    response = RedirectResponse(base_of(request) + path, 303)
    set_cookie(response, request, entry)
    return response


@router.get("/login", response_class=HTMLResponse)
def login_page(request: Request, next: str = "", token: str = "") -> Response:
    """Show the form; a token of the link is filled in, and sent only when the person says so."""
    if find_visitor(request) is not None and not token:
        return RedirectResponse(base_of(request) + _next(next), 303)
    return _show_form(request, "login", error="", name="", next=_next(next), token=token[:200])


@router.post("/login", response_class=HTMLResponse, openapi_extra=_LOGIN_FORM)
async def login(request: Request) -> Response:
    """Log in with the fields of the form."""
    fields = await read_form(request)
    check_bound(request, fields)
    name = fields.get("name", "")
    try:
        entry = await _enter(request, name, fields.get("password", ""), fields.get("token", "").strip())
    except AccessError as exc:
        status, headers = _refused(exc)
        more = {"error": _sentence(exc), "name": name[:200], "next": _next(fields.get("next", "")), "token": ""}
        response = _show_form(request, "login", status=status, **more)
        response.headers.update(headers)
        return response
    return _welcome(request, entry, _next(fields.get("next", "")))


@router.post("/api/login")
async def login_in_place(request: Request, body: LoginBody) -> Response:
    """Log in from a page whose session is over, so that what is on it is not lost."""
    try:
        entry = await _enter(request, body.name, body.password, body.token.strip())
    except AccessError as exc:
        status, headers = _refused(exc)
        return Json({"error": str(exc)}, status_code=status, headers=headers)
    session = entry.session
    response = Json({"csrf": session.csrf, "person": {"name": session.person, "role": session.role}})
    set_cookie(response, request, entry)
    return response


def _refused(error: AccessError) -> tuple[int, dict[str, str]]:
    if isinstance(error, TooOftenError):
        return 429, {"Retry-After": str(math.ceil(error.wait_s))}
    return 401, {}


def _sentence(error: AccessError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."


@router.post("/logout", response_class=HTMLResponse, openapi_extra=describe(csrf=64))
async def logout(request: Request) -> Response:
    """End the session and give back what the person was about to answer."""
    fields = await read_form(request)
    await run_in_threadpool(_leave, request, fields.get("csrf", ""))
    response = RedirectResponse(f"{base_of(request)}/login", 303)
    drop_cookie(response, request)
    return response


def _leave(request: Request, csrf: str) -> None:
    site, visitor = site_of(request), find_visitor(request)
    if visitor is None or not visitor.has_account:
        return
    if not is_same(csrf, visitor.csrf):
        raise HTTPException(403, "this page is out of date; go back and load it again")
    site.roster.logout(request.cookies[COOKIE])
    site.project.desk.give_back(visitor.name)


@router.get("/invite/{token}", response_class=HTMLResponse)
def invitation(request: Request, token: _Token) -> Response:
    """Show the form that makes an account."""
    invite = site_of(request).roster.invitation(token)
    if invite is None:
        return show_message(request, 404, _INVALID, {})
    return _show_form(request, "invite", error="", token=token, role=invite.role, name=invite.name or "")


@router.post("/invite/{token}", response_class=HTMLResponse, openapi_extra=_INVITE_FORM)
async def accept(request: Request, token: _Token) -> Response:
    """Make the account and log its person in."""
    fields = await read_form(request)
    check_bound(request, fields)
    site = site_of(request)
    invite = await run_in_threadpool(site.roster.invitation, token)
    if invite is None:
        return show_message(request, 404, _INVALID, {})
    name, password = invite.name or fields.get("name", ""), fields.get("password", "")
    try:
        if password != fields.get("password_again", password):
            raise AccessError("the two passwords differ; type the same one twice")
        former = request.cookies.get(COOKIE)
        entry = await site.logins.run(partial(site.roster.accept, token, name=name, password=password, former=former))
    except AccessError as exc:
        more = {"error": _sentence(exc), "token": token, "role": invite.role, "name": name[:200]}
        return _show_form(request, "invite", status=_refused(exc)[0] if isinstance(exc, TooOftenError) else 422, **more)
    return _welcome(request, entry, "/")
