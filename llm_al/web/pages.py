"""The pages themselves; what is in them comes later, through the API."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from llm_al.web.guidelines import read_guidelines_page
from llm_al.web.sessions import Visitor, base_of, find_visitor
from llm_al.web.site import site_of

__all__ = ["PAGES", "render", "router", "show_message"]

router = APIRouter()

PAGES = {"/": "label", "/review": "review", "/dashboard": "dashboard", "/guidelines": "guidelines", "/people": "people"}
_NEEDS = {"review": "reviewer", "people": "owner"}
_TITLES = {403: "Not for you", 404: "Nothing here", 429: "Too often", 500: "Something went wrong"}


def render(request: Request, page: str, *, visitor: Visitor | None = None, status: int = 200, **more: Any) -> Response:
    """Return a page of the template ``<page>.html.j2``."""
    site = site_of(request)
    context = {
        "base": base_of(request),
        "project": site.project.config.name,
        "page": page,
        "person": None if visitor is None else {"name": visitor.name, "role": visitor.role},
        "csrf": "" if visitor is None else visitor.csrf,
        "has_accounts": visitor is not None and visitor.has_account,
    }
    html = site.pages.get_template(f"{page}.html.j2").render({**context, **more})
    return HTMLResponse(html.encode("utf-8", errors="replace"), status_code=status)


def show_message(request: Request, status: int, sentence: str, headers: dict[str, str]) -> Response:
    """Return a page with one sentence."""
    text = sentence[:1].upper() + sentence[1:] + "."
    title = _TITLES.get(status, "This did not work")
    response = render(request, "message", status=status, title=title, text=text, link="/", link_text="To the texts")
    response.headers.update(headers)
    return response


def _open(request: Request, page: str) -> Response:
    visitor = find_visitor(request)
    if visitor is None:
        path = next(path for path, name in PAGES.items() if name == page)
        return RedirectResponse(f"{base_of(request)}/login?next={path}", 303)
    if not visitor.may(_NEEDS.get(page, "annotator")):
        raise HTTPException(403, f"this page is for people with the role {_NEEDS[page]}; ask an owner")
    if page == "guidelines":
        return render(request, page, visitor=visitor, text=read_guidelines_page(site_of(request)))
    return render(request, page, visitor=visitor)


@router.get("/", response_class=HTMLResponse)
def label_page(request: Request) -> Response:
    """Show the page to label on."""
    return _open(request, "label")


@router.get("/review", response_class=HTMLResponse)
def review_page(request: Request) -> Response:
    """Show disagreements, likely errors and flags."""
    return _open(request, "review")


@router.get("/dashboard", response_class=HTMLResponse)
def dashboard_page(request: Request) -> Response:
    """Show how far the project is."""
    return _open(request, "dashboard")


@router.get("/guidelines", response_class=HTMLResponse)
def guidelines_page(request: Request) -> Response:
    """Show the page for annotators."""
    return _open(request, "guidelines")


@router.get("/people", response_class=HTMLResponse)
def people_page(request: Request) -> Response:
    """Show people, invitations and files."""
    return _open(request, "people")
