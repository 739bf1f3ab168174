"""The application: one project behind pages and a small API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import llm_al
from llm_al.people.roster import Roster
from llm_al.project import Project
from llm_al.web import accounts, export_routes, failures, label_routes, pages, people_routes, review_routes, team_routes
from llm_al.web.assets import Assets
from llm_al.web.security import Gate
from llm_al.web.settings import WebSettings
from llm_al.web.site import Site, site_of

__all__ = ["create_app"]

_PARTS = (pages, accounts, label_routes, review_routes, team_routes, people_routes, export_routes)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    site: Site = app.state.site
    # As many as the store keeps connections for; more would only wait there.
    to_thread.current_default_thread_limiter().total_tokens = site.settings.n_threads
    yield
    site.project.close()


async def _static(request: Request) -> Response:
    return site_of(request).assets.serve(request)


def create_app(folder: str | Path, settings: WebSettings | None = None) -> FastAPI:
    """Return the application of one project; the folder is opened now and closed at shutdown.

    Raises
    ------
    LLMALError
        If the folder is no project.
    """
    settings = settings or WebSettings()
    project = Project.open(folder)
    app = FastAPI(
        title="llm_al",
        version=llm_al.__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.site = Site(project, Roster(project.store.people), settings, Assets())
    failures.add_handlers(app)
    for part in _PARTS:
        app.include_router(part.router)
    app.add_route("/static/{path:path}", _static, methods=["GET"], include_in_schema=False)
    app.add_middleware(Gate, settings=settings)
    return app
