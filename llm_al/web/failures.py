"""Errors as the browser sees them: a status and one sentence."""

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llm_al import errors
from llm_al.web.answers import refusal
from llm_al.web.pages import show_message

__all__ = ["add_handlers"]

_log = logging.getLogger("llm_al.web")
_STATUS: dict[type[Exception], int] = {
    errors.TooOftenError: 429,
    errors.AccessError: 422,
    errors.TicketGoneError: 409,
    errors.DeskError: 409,
    errors.LabelError: 422,
    errors.DataError: 422,
}
_PLAIN = {404: "there is nothing under this address", 405: "this address does not take that method"}


def add_handlers(app: FastAPI) -> None:
    """Let an application answer errors that were foreseen; the gate answers the others."""
    for kind in _STATUS:
        app.add_exception_handler(kind, _foreseen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(errors.StoreError, _store)


async def _foreseen(request: Request, error: Exception) -> Response:
    status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": str(math.ceil(error.wait_s))} if isinstance(error, errors.TooOftenError) else {}
    return _answer(request, status, str(error), headers)


async def _http(request: Request, error: Exception) -> Response:
    found: Any = error
    headers = {key: value for key, value in (found.headers or {}).items() if key.casefold() == "allow"}
    return _answer(request, found.status_code, _PLAIN.get(found.status_code) or str(found.detail), headers)


async def _store(request: Request, error: Exception) -> Response:
    _log.error("the store failed", exc_info=error)
    return _answer(request, 503, "the database cannot be used at the moment; try again, or ask the owner", {})


async def _invalid(request: Request, error: Exception) -> Response:
    found: Any = error
    first = found.errors()[0]
    if first["type"] == "json_invalid":
        return _answer(request, 400, "the body is no JSON", {})
    if first["type"] == "extra_forbidden":
        return _answer(request, 422, "the body has a field that is not known here", {})
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _answer(request, 422, f"{where}: {first['msg'].removeprefix('Value error, ')}", {})


def _answer(request: Request, status: int, sentence: str, headers: dict[str, str]) -> Response:
    if is_page(request):
        return show_message(request, status, sentence, headers)
    return refusal(status, sentence, **headers)


def is_page(request: Request) -> bool:
    """Return whether somebody looks at the answer, rather than a script."""
    is_api = str(request.scope["path"]).startswith(("/api/", "/static/", "/exports/"))
    return not is_api and "text/html" in request.headers.get("accept", "")
