"""What everybody may see of the project: guidelines and dashboard."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from llm_al.web.answers import Json
from llm_al.web.bodies import GuidelinesBody
from llm_al.web.guidelines import read_guidelines_page, write_guidelines_page
from llm_al.web.markdown import to_html
from llm_al.web.sessions import Anybody, needs_login, needs_owner
from llm_al.web.site import site_of

__all__ = ["router"]

router = APIRouter(prefix="/api")


@router.get("/guidelines", dependencies=[needs_login])
def guidelines(request: Request) -> Response:
    """Return the guidelines as Markdown and as HTML."""
    text = read_guidelines_page(site_of(request))
    return Json({"text": text, "html": to_html(text)})


@router.put("/guidelines", dependencies=[needs_owner])
def write_guidelines(request: Request, body: GuidelinesBody) -> Response:
    """Replace the guidelines."""
    write_guidelines_page(site_of(request), body.text)
    return Json({"text": body.text, "html": to_html(body.text)})


@router.get("/dashboard")
def dashboard(request: Request, visitor: Anybody) -> Response:
    """Return how far the project is."""
    whole = site_of(request).project.dashboard()
    return Json(whole.for_person(visitor.name, visitor.role).to_dict())
